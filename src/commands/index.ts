import type { CommandSpec } from './framework.ts';

/** Loads every command. Heavy parts are imported by each command when it runs. */
export async function loadCommands(): Promise<readonly CommandSpec[]> {
  const modules = await Promise.all([
    import('./check.ts'),
    import('./telemetry/index.ts'),
    import('./policy/index.ts'),
    import('./catalog/index.ts'),
    import('./drift/index.ts'),
    import('./canary/index.ts'),
    import('./slo/index.ts'),
    import('./promote.ts'),
    import('./rollback.ts'),
    import('./history.ts'),
    import('./init/index.ts'),
    import('./doctor.ts'),
    import('./explain.ts'),
  ]);
  return modules.map((module) => module.command);
}
