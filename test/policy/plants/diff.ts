/**
 * Changes of a decision, by class: how base decides and how head does, each plant in a package of its own with `decision`
 * as its entrypoint. `# <- rule-id` marks each line of head that must be reported.
 */
export interface DiffPlant {
  readonly base: string;
  readonly head: string;
}

/** Every plant is compared on these. */
export const DIFF_INPUTS: readonly object[] = [0, 4, 6, 8].flatMap((n) => ['a', 'b'].map((team) => ({ n, team })));
export const BASE_DATA = { limits: { widened: 5, narrowed: 5 } };
export const HEAD_DATA = { limits: { widened: 7, narrowed: 3 } };

const DEFAULT = `
default decision := {"allow": false, "rule": "none"}

decision := {"allow": true, "target": {"pool": "a"}, "rule": "small", "priority": 1} if input.n < 5
`;
/** Through a set of reasons. */
const REASONS = `
decision := {"allow": count(refused) == 0, "target": {"pool": "a"}}

refused contains "n" if input.n > 5

refused contains "team" if input.team == "b"
`;
/** An else chain. */
const CHAIN = `
decision := {"allow": true, "target": {"cluster": "eu"}} if input.n < 5

else := {"allow": true, "target": {"cluster": "us"}} if input.n < 7

else := {"allow": false}
`;
/** Helpers and a function. */
const HELPERS = `
decision := {"allow": true, "target": {"pool": pool(input.n)}, "fallbacks": fallbacks, "rule": name}

pool(n) := "a" if n < 5

pool(n) := "b" if n >= 5

fallbacks := ["c"] if input.team == "a"

else := ["d"]

default name := "any"

name := "team" if input.team == "b"
`;
const BOOLEAN = `
default decision := false

decision if {
	input.n < 5
	input.team == "a"
}
`;
const PARTIAL = `
decision := {"allow": true} if input.n < 5

decision := {"allow": false} if input.n > 6
`;
const LIMITS = `
default decision := false

decision if input.n < data.limits.KIND
`;

/** `after` stands in head for `before` in base; its first line carries the mark. */
function change(ruleId: string, base: string, before: string, after: string): DiffPlant {
  const at = base.indexOf(before);
  if (at < 0) throw new Error(`the base has no ${before}`);
  const end = base.indexOf('\n', at + before.length);
  const lines = (base.slice(0, at) + after + base.slice(at + before.length, end)).split('\n');
  const marked = base.slice(0, at).split('\n').length - 1;
  lines[marked] += ` # <- ${ruleId}`;
  return { base, head: lines.join('\n') + base.slice(end) };
}

/** Nothing of head's own is to blame: the line that decides there is reported. */
function unchanged(ruleId: string, base: string, head: string, decides: string): DiffPlant {
  if (!head.includes(`${decides}\n`)) throw new Error(`head has no ${decides}`);
  return { base, head: head.replace(`${decides}\n`, `${decides} # <- ${ruleId}\n`) };
}

const plants = (ruleId: string, ...list: readonly (readonly [string, string, string])[]): readonly DiffPlant[] =>
  list.map(([base, before, after]) => change(ruleId, base, before, after));

export const DIFF_PLANTS: { readonly [ruleId: string]: readonly DiffPlant[] } = {
  'policy-decision-widened': [
    ...plants(
      'policy-decision-widened',
      [DEFAULT, 'input.n < 5', 'input.n < 7'],
      [DEFAULT, 'default decision := {"allow": false, "rule": "none"}', 'default decision := {"allow": true, "rule": "none"}'],
      [BOOLEAN, 'decision if {\n\tinput.n < 5\n', 'decision if {\n'],
      [REASONS, 'input.n > 5', 'input.n > 7'],
      [CHAIN, 'else := {"allow": false}', 'else := {"allow": true, "target": {"cluster": "ap"}}'],
    ),
    unchanged(
      'policy-decision-widened',
      REASONS,
      REASONS.replace('refused contains "team" if input.team == "b"\n', ''),
      'decision := {"allow": count(refused) == 0, "target": {"pool": "a"}}',
    ),
    unchanged(
      'policy-decision-widened',
      LIMITS.replace('KIND', 'widened'),
      LIMITS.replace('KIND', 'widened'),
      'decision if input.n < data.limits.widened',
    ),
  ],
  'policy-decision-narrowed': [
    ...plants(
      'policy-decision-narrowed',
      [DEFAULT, 'input.n < 5', 'input.n < 1'],
      [BOOLEAN, 'decision if {\n\tinput.n < 5', 'decision if {\n\tinput.n < 3'],
      [REASONS, 'input.n > 5', 'input.n > 3'],
    ),
    ...plants('policy-decision-narrowed', [
      CHAIN,
      'else := {"allow": true, "target": {"cluster": "us"}} if',
      'else := {"allow": false} if',
    ]),
    unchanged(
      'policy-decision-narrowed',
      LIMITS.replace('KIND', 'narrowed'),
      LIMITS.replace('KIND', 'narrowed'),
      'default decision := false',
    ),
    unchanged(
      'policy-decision-narrowed',
      DEFAULT,
      DEFAULT.slice(0, DEFAULT.indexOf('\ndecision :=')),
      'default decision := {"allow": false, "rule": "none"}',
    ),
  ],
  'policy-decision-rerouted': plants(
    'policy-decision-rerouted',
    [DEFAULT, '{"pool": "a"}', '{"pool": "b"}'],
    [CHAIN, '{"cluster": "us"}', '{"cluster": "eu-2"}'],
    [CHAIN, 'input.n < 5', 'input.n < 3'],
    [HELPERS, '"b" if n >= 5', '"c" if n >= 5'],
    [REASONS, '{"pool": "a"}', '{"pool": "a", "jurisdiction": "US"}'],
    [HELPERS, '{"pool": pool(input.n)}', '{"pool": pool(input.n), "model": "m"}'],
  ),
  'policy-decision-obligation-changed': plants(
    'policy-decision-obligation-changed',
    [DEFAULT, '"priority": 1', '"priority": 2'],
    [HELPERS, 'else := ["d"]', 'else := ["e", "d"]'],
    [HELPERS, 'fallbacks := ["c"] if', 'fallbacks := [] if'],
    [DEFAULT, '"priority": 1', '"quota": 10, "priority": 1'],
    [REASONS, '"target": {"pool": "a"}', '"target": {"pool": "a"}, "trace": true'],
  ),
  'policy-decision-reason-changed': plants(
    'policy-decision-reason-changed',
    [DEFAULT, '"rule": "small"', '"rule": "tiny"'],
    [DEFAULT, '"rule": "none"', '"rule": "refused"'],
    [HELPERS, 'default name := "any"', 'default name := "all"'],
    [HELPERS, 'name := "team" if', 'name := "b" if'],
    [REASONS, '"target": {"pool": "a"}', '"target": {"pool": "a"}, "reasons": refused'],
  ),
  'policy-decision-became-undefined': [
    ...plants(
      'policy-decision-became-undefined',
      [PARTIAL, 'input.n < 5', 'input.n < 3'],
      [PARTIAL, 'decision := {"allow": false} if input.n > 6', 'decision := {"allow": false} if input.n > 8'],
      [CHAIN, 'else := {"allow": false}', 'else := {"allow": false} if input.n < 8'],
      [HELPERS, 'pool(n) := "b" if n >= 5', 'pool(n) := "b" if n >= 7'],
      [
        HELPERS,
        'decision := {"allow": true, "target": {"pool": pool(input.n)}',
        'decision := {"allow": true, "target": {"pool": pool(input.m)}',
      ],
    ),
    // Undefined is what asks for a rule that is gone.
    unchanged(
      'policy-decision-became-undefined',
      HELPERS,
      HELPERS.replace('default name := "any"\n', ''),
      'decision := {"allow": true, "target": {"pool": pool(input.n)}, "fallbacks": fallbacks, "rule": name}',
    ),
  ],
  'policy-decision-became-defined': plants(
    'policy-decision-became-defined',
    [PARTIAL, 'input.n < 5', 'input.n < 7'],
    [PARTIAL, 'input.n > 6', 'input.n > 5'],
    [PARTIAL, '\ndecision := {"allow": false} if', 'default decision := {"allow": false}\n\ndecision := {"allow": false} if'],
    [CHAIN.replace('else := {"allow": false}\n', ''), 'input.n < 7', 'input.n < 9'],
    [
      PARTIAL,
      '\ndecision := {"allow": false} if',
      'decision := {"allow": false, "rule": "x"} if input.n == 6\n\ndecision := {"allow": false} if',
    ],
  ),
  'policy-decision-error': plants(
    'policy-decision-error',
    [PARTIAL.replace('n > 6', 'n > 5'), 'input.n > 5', 'input.n > 3'],
    [HELPERS, 'pool(n) := "b" if n >= 5', 'pool(n) := "b" if n >= 4'],
    [HELPERS, 'name := "team" if input.team == "b"', 'name := input.n if input.team == "b"\n\nname := "x" if input.team == "b"'],
    [REASONS, '{"pool": "a"}', '{"pool": pool | some pool in ["a", input.team]}'],
    [DEFAULT, 'default decision := {"allow": false, "rule": "none"}', 'decision := {"allow": false, "rule": "none"}'],
  ),
};
