export class InstallError extends Error {}
export function isMusl(): boolean;
export function findNode(): string | undefined;
export function platformPackages(platform?: NodeJS.Platform, arch?: NodeJS.Architecture, haveNode?: boolean): string[];
export function isInstalled(): boolean;
export function install(options?: { log?: (line: string) => void }): boolean;
