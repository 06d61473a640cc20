export class InstallError extends Error {}
export function isMusl(): boolean;
export function findNode(): string | undefined;
export function platformPackages(
  platform?: NodeJS.Platform,
  arch?: NodeJS.Architecture,
  haveNode?: boolean,
  gpus?: string[],
): string[];
export function isInstalled(gpus?: string[]): boolean;
export function install(options?: { log?: (line: string) => void; gpus?: string[] }): boolean;
