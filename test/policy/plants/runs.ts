/** Defects that show when the policy is checked, run, proved or tested. `# <- rule-id` marks each line that must be reported. */

/** Five ways to break five invariants, in one policy. */
export const PROVE_POLICY = `package p

default decision := {"allow": false}

decision := {"allow": true, "pool": pool, "region": region, "fallbacks": fallbacks, "tier": tier(input.n), "weight": weight} if count(refused) == 0

default pool := "shared"

pool := "b" if input.team == "a" # <- policy-invariant-violated

default region := "eu"

region := "us" if input.n > 6 # <- policy-invariant-violated

default weight := 1

weight := 9 if input.team == "b" # <- policy-invariant-violated

default fallbacks := ["x"]

fallbacks := [] if input.n == 0 # <- policy-invariant-violated

tier(n) := "gold" if n < 3

tier(n) := "none" if n >= 3 # <- policy-invariant-violated

refused contains "team" if input.team == "z"

refused contains "n" if input.n == 4
`;
export const PROVE_INVARIANTS: { readonly [file: string]: string } = {
  'i/tenant.rego':
    'package invariants.tenant\n\nviolation contains "another team" if {\n\tinput.input.team == "a"\n\tinput.decision.pool == "b"\n}\n',
  'i/region.rego':
    'package invariants.region\n\nviolation contains "outside" if {\n\tinput.decision.allow\n\tinput.decision.region != "eu"\n}\n',
  'i/fallback.rego':
    'package invariants.fallback\n\nviolation contains "no fallback" if {\n\tinput.decision.allow\n\tcount(input.decision.fallbacks) == 0\n}\n',
  'i/tier.rego': 'package invariants.tier\n\nviolation contains "no tier" if input.decision.tier == "none"\n',
  'i/weight.rego': 'package invariants.weight\n\nviolation contains "too heavy" if input.decision.weight > 5\n',
  'i/holds.rego':
    'package invariants.holds\n\nviolation contains "z" if {\n\tinput.input.team == "z"\n\tinput.decision.allow\n}\n',
};
export const PROVE_DOMAIN = { base: { team: 'b', n: 1 }, vary: { team: ['a', 'b', 'z'], n: [0, 1, 4, 8] } };

/** Builtins that the WASM host lacks: checked by the module's own list, before anything runs. */
export const BUILTINS = `package p

decision := [a, b, c, d, e, f(1)]

a := time.clock(1) # <- policy-builtin-not-portable

b := crypto.sha256("x") # <- policy-builtin-not-portable

c := [io.jwt.decode(x) | some x in input.tokens] # <- policy-builtin-not-portable

default d := 0

d := 1 if {
	input.a
	uuid.rfc4122("x") != "" # <- policy-builtin-not-portable
}

e := 1 if input.b

else := semver.compare("1.0.0", "2.0.0") # <- policy-builtin-not-portable

f(x) := units.parse(sprintf("%dK", [x])) # <- policy-builtin-not-portable
`;
/** Builtins that reach outside: shut off for the compiler. */
export const FORBIDDEN = `package p

decision := [a, b]

a := http.send({"method": "get", "url": "http://127.0.0.1/"}) # <- policy-builtin-not-portable

b := opa.runtime() # <- policy-builtin-not-portable
`;

export const CHECK_PLANTS: readonly string[] = [
  'package p\n\ndecision := } # <- policy-check-failed\n',
  'package p\n\nimport data.x # <- policy-check-failed\n\ndecision := 1\n',
  'package p\n\ndecision := x # <- policy-check-failed\n',
  'package p\n\ndecision := 1 if {\n\tx := 1 # <- policy-check-failed\n\tinput.a\n}\n',
  'package p\n\ndecision := count(1) # <- policy-check-failed\n',
  'package p\n\ndecision := f(1)\n\nf(x) := f(x + 1) # <- policy-check-failed\n',
  'package p\n\ndecision := 1 # <- policy-check-failed\n\ndecision contains 2\n',
];

export const TESTED = `package p

default decision := false

decision if input.n < 5

limit := 5

names contains "a"

clash := 1 if input.n == 1

clash := 2 if input.m == 1
`;
export const FAILING_TESTS = `package p_test

import data.p

test_low if p.decision with input as {"n": 1}

test_boundary if p.decision with input as {"n": 5} # <- policy-test-failed

test_negated if not p.decision with input as {"n": 4} # <- policy-test-failed

test_value if p.limit == 6 # <- policy-test-failed

test_member if "b" in p.names # <- policy-test-failed

test_undefined if data.more # <- policy-test-failed

test_every if { # <- policy-test-failed
	every n in [1, 9] { p.decision with input as {"n": n} }
}

test_error if p.clash == 1 with input as {"n": 1, "m": 1} # <- policy-test-failed
`;

/** An input and the module that ends in an error on it. */
export const ERROR_PLANTS: readonly (readonly [input: object, module: string])[] = [
  [{ a: 1, b: 1 }, 'decision := 1 if input.a\n\ndecision := 2 if input.b # <- policy-evaluation-error\n'],
  [{ a: 1 }, 'decision := f(input.a)\n\nf(x) := "low" if x < 3\n\nf(x) := "high" if x > 0 # <- policy-evaluation-error\n'],
  [{ xs: [1, 2] }, 'decision := {"k": x | some x in input.xs} # <- policy-evaluation-error\n'],
  [{ xs: [1, 2] }, 'decision := m\n\nm["k"] := x if some x in input.xs # <- policy-evaluation-error\n'],
  [{ xs: [1, 2] }, 'decision := r\n\nr := x if some x in input.xs # <- policy-evaluation-error\n'],
  [{ a: 1 }, 'decision := a\n\na.b := 1 if input.a\n\na.b := 2 if input.a > 0 # <- policy-evaluation-error\n'],
];

/** What runs for ever or fills the memory; the entrypoint's line is the one that can be named. */
export const LIMIT_PLANTS: readonly string[] = [
  'decision := count([1 | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i + j == 0]) # <- policy-evaluation-limit\n',
  'decision := [[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)] # <- policy-evaluation-limit\n',
  'decision := {[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)} # <- policy-evaluation-limit\n',
  'decision := count([1 | walk(big, [path, _]); some i in numbers.range(1, 99999); i < count(path) - 9]) # <- policy-evaluation-limit\n\nbig := [numbers.range(x, 99) | some x in numbers.range(1, 99)]\n',
  'decision if { # <- policy-evaluation-limit\n\tevery x in numbers.range(1, 90000) {\n\t\tcount([1 | some y in numbers.range(1, 90000); y == x]) == 1\n\t}\n}\n',
];

/** A suite that looks away in eight places. */
export const WEAKLY_TESTED = `package p

default decision := {"allow": false, "weight": 0} # <- policy-mutant-survived

decision := {"allow": true, "weight": weight, "pool": pool} if {
	input.load < 5 # <- policy-mutant-survived
	input.tier in {"gold", "silver"}
	not banned # <- policy-mutant-survived
}

banned if input.team == "z" # <- policy-mutant-survived

default weight := 1 # <- policy-mutant-survived

weight := input.share * 2 if input.share > 0 # <- policy-mutant-survived

pool := "a" if input.load < 3 # <- policy-mutant-survived

else := "b" # <- policy-mutant-survived
`;
export const WEAK_TESTS = `package p_test

import data.p

test_allowed if p.decision.allow with input as {"load": 1, "tier": "gold", "share": 1}

test_silver if p.decision.allow with input as {"load": 1, "tier": "silver"}

test_load if not p.decision.allow with input as {"load": 9, "tier": "gold"}

test_tier if not p.decision.allow with input as {"load": 1, "tier": "free"}
`;
export const MUTATION_DOMAIN = {
  base: { load: 1, tier: 'gold', team: 'a', share: 1 },
  vary: { load: [1, 3, 4, 5, 9], tier: ['gold', 'silver', 'free'], team: ['a', 'z'], share: [0, 1, 2, { absent: true }] },
};
