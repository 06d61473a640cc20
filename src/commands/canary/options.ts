import type { LoadedProfile } from '../../canary/gate.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Invocation, OptionSpec } from '../framework.ts';
import type { Workspace } from '../open-workspace.ts';

export const PROFILE: OptionSpec = { type: 'string', value: 'FILE', description: 'analysis profile: metrics and margins' };

/** The profile of --profile. */
export async function profileFlag(invocation: Invocation, workspace: Workspace): Promise<LoadedProfile | undefined> {
  const file = invocation.options.string('profile');
  if (file === undefined) return undefined;
  const { loadProfile } = await import('../../canary/gate.ts');
  return loadProfile(workspace.context.head, file, '--profile');
}

export function checkRange(flag: string, value: number | undefined, expected: string, valid: (value: number) => boolean): void {
  if (value !== undefined && !valid(value)) throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected });
}

export function checkAlpha(alpha: number | undefined): void {
  checkRange('alpha', alpha, 'a number between 0 and 0.5', (value) => value > 0 && value < 0.5);
}

export function checkLooks(looks: number | undefined, look: number | undefined, most: number): void {
  checkRange('looks', looks, 'a whole number of at least 1', (value) => value >= 1 && value <= most);
  checkRange('look', look, 'a whole number from 1 to --looks', (value) => value >= 1 && value <= (looks ?? 1));
}
