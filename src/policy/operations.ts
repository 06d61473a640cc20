/** What the policy commands do, an operation a file: a policy in, a gate's result out. */
export { benchPolicy } from './operations/bench.ts';
export { checkPolicy } from './operations/check.ts';
export { diffPolicies } from './operations/diff.ts';
export { evaluatePolicy } from './operations/evaluate.ts';
export { lintPolicy } from './operations/lint.ts';
export { provePolicy } from './operations/prove.ts';
export { type CoverageTestOptions, type MutationTestOptions, testPolicy } from './operations/test.ts';
export { openWorkbench, type Workbench } from './operations/workbench.ts';
