export interface BuildOptions {
  compiler?: string;
  platform?: string;
  /** Where addons are built; default native/build. */
  folder?: string;
}
export type Built = { available: true; path: string } | { available: false; reason: string };
export function buildShim(options?: BuildOptions): Built;
