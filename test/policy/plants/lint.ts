/**
 * Defects planted for rule analysis, by class: a module or more a plant, in a package of its own, `decision` its entrypoint.
 * `# <- rule-id` marks each line that must be reported; nothing else may be.
 */
export const LINT_DOMAIN = {
  base: { a: 1, b: 'x', n: 5 },
  vary: { a: [1, 2, 3, { absent: true }], b: ['x', 'y'], n: [0, 5, 10] },
};

export const LINT_PLANTS: { readonly [ruleId: string]: readonly (string | readonly string[])[] } = {
  'policy-rule-dead': [
    `
default decision := 0

decision := 1 if input.a == 9 # <- policy-rule-dead

decision := 2 if input.b == "y"
`,
    `
default decision := 0

decision := 2 if input.a == 3

decision := 1 if { # <- policy-rule-dead
	input.a == 1
	input.a == 2
}
`,
    `
decision := 1 if input.b == "x"

else := 2 if input.b != "x"

else := 3 if input.b # <- policy-rule-dead

else := 4
`,
    `
decision := members

members contains 1 if input.a == 1

members contains 2 if input.b == "z" # <- policy-rule-dead
`,
    `
decision := f(input.b)

f("x") := 1

f("y") := 2

f("q") := 3 # <- policy-rule-dead
`,
    `
decision := m

m["one"] := input.n if input.a == 1

m["two"] := input.n if input.n > 10 # <- policy-rule-dead
`,
    `
default decision := "b"

# The name is misspelt.
decision := "a" if input.tier == "gold" # <- policy-rule-dead

decision := "c" if input.n == 0
`,
    `
default decision := 0

decision := 1 if {
	input.a == 1
	not never
}

# Holds, but never where it is asked for.
never if input.a == 2 # <- policy-rule-dead
`,
  ],
  'policy-rule-shadowed': [
    `
default decision := 0

decision := 1 if input.a == 1

decision := 1 if { # <- policy-rule-shadowed
	input.a == 1
	input.b == "x"
}
`,
    `
decision := members

members contains 1 if input.a

members contains 1 if input.a == 2 # <- policy-rule-shadowed
`,
    `
default decision := false

decision if ok

ok if input.n >= 5

ok if input.n == 10 # <- policy-rule-shadowed
`,
    `
decision := m

m["k"] := 1 if input.n > 0

m["k"] := 1 if input.n > 5 # <- policy-rule-shadowed
`,
    `
default decision := "none"

decision := word(input.n) if input.n > 0

word(n) := "some" if n > 0

word(n) := "some" if n > 7 # <- policy-rule-shadowed
`,
    `
default decision := ""

decision := "y" if input.b == "y"

# The same value, computed.
decision := input.b if { # <- policy-rule-shadowed
	input.b == "y"
	input.a > 1
}
`,
  ],
  'policy-rule-redundant': [
    `
decision := {"b": input.b} if h >= 0 # <- policy-rule-constant

default h := 0

h := 5 if input.a == 1 # <- policy-rule-redundant
`,
    `
default decision := false

decision if {
	input.b == "x"
	count(reasons) < 9
}

reasons contains "one" if input.a == 1 # <- policy-rule-redundant
`,
    `
default decision := "low"

# Gives what the default gives.
decision := "low" if input.n == 0 # <- policy-rule-redundant

decision := "high" if input.n == 10
`,
    `
decision := object.union(extra, {"n": input.n})

default extra := {}

# Overwritten by the union.
extra := {"n": 0} if input.a == 2 # <- policy-rule-redundant
`,
    `
decision := max([5, bonus, input.n])

default bonus := 0

bonus := 3 if input.b == "y" # <- policy-rule-redundant
`,
    `
decision := concat("-", [input.b, suffix])

default suffix := "s"

# As the default has it.
suffix := "s" if input.n > 0 # <- policy-rule-redundant
`,
  ],
  'policy-rule-unused': [
    `
decision := input.b

spare := 1 # <- policy-rule-unused
`,
    `
decision := input.b

spare := extra # <- policy-rule-unused

extra := 1 # <- policy-rule-unused
`,
    `
decision := input.b

f(x) := x + 1 # <- policy-rule-unused
`,
    `
decision := input.b

names contains input.b # <- policy-rule-unused
`,
    `
decision := input.b

default flag := false # <- policy-rule-unused

flag if input.a == 1
`,
    `
decision := input.n

m[k] := v if some k, v in input # <- policy-rule-unused
`,
  ],
  'policy-entrypoint-constant': [
    `
default decision := false # <- policy-entrypoint-constant
`,
    `
decision := {"pool": "a"} # <- policy-entrypoint-constant
`,
    `
decision := count([x | some x in [1, 2, 3]]) # <- policy-entrypoint-constant
`,
    `
decision := limit # <- policy-entrypoint-constant

limit := 5
`,
    `
default decision := 1 # <- policy-entrypoint-constant

decision := 2 if input.n > 10 # <- policy-rule-dead
`,
    `
decision := "in" if input.n >= 0 # <- policy-entrypoint-constant, policy-rule-redundant

else := "in"
`,
  ],
  'policy-rule-conflict': [
    `
default decision := 0

decision := 1 if input.a == 1

decision := 2 if input.b == "x" # <- policy-rule-conflict
`,
    `
decision := {"r": r}

default r := 0

r := 1 if input.a > 1

r := 2 if input.a > 2 # <- policy-rule-conflict
`,
    `
decision := f(input.a)

f(x) := "low" if x < 3

f(x) := "high" if x > 1 # <- policy-rule-conflict
`,
    `
default decision := "none"

decision := "small" if input.n <= 5

decision := "large" if input.n >= 5 # <- policy-rule-conflict
`,
    `
default decision := ""

decision := input.b if input.a == 1

# Clashes where b is not "x".
decision := "x" if input.a < 3 # <- policy-rule-conflict
`,
    `
default decision := {"allow": false}

decision := {"allow": true, "pool": "a"} if input.b == "x"

else := {"allow": true, "pool": "b"} if input.a == 1

decision := {"allow": true, "pool": "c"} if input.n == 10 # <- policy-rule-conflict, policy-rule-conflict
`,
  ],
  'policy-fail-open': [
    `
default decision := {"allow": true} # <- policy-fail-open

decision := {"allow": false} if input.a > 1
`,
    `
default decision := false

decision if not bad # <- policy-fail-open

bad if input.b == "y"
`,
    `
default decision := true # <- policy-fail-open

decision := false if {
	input.n > 5
}
`,
    `
default decision := false

decision if count(problems) == 0 # <- policy-fail-open

problems contains "a" if input.a > 2
`,
    `
decision := {"allow": allow}

default allow := false

allow if not input.b == "y" # <- policy-fail-open
`,
    `
decision := {"allow": allow}

default allow := true # <- policy-fail-open

allow := false if input.n > 5
`,
    `
default decision := false

decision if object.get(input, "n", 0) < 10 # <- policy-fail-open
`,
  ],
  'policy-rule-constant': [
    `
default decision := 0

decision := object.get(input, "b", "x") if object.get(input, "n", 0) >= 0 # <- policy-rule-constant
`,
    `
decision := {"n": object.get(input, "n", 0), "ok": ok}

default ok := false

ok if { # <- policy-rule-constant
	not object.get(input, "n", 0) > 10
}
`,
    `
default decision := ""

decision := input.b if object.get(input, "n", 0) < 99 # <- policy-rule-constant
`,
    `
default decision := 0

decision := input.a if low # <- policy-rule-constant

low if not input.n == 7 # <- policy-rule-constant
`,
    `
decision := object.get(input, "n", 1) if object.get(input, "b", "x") in {"x", "y", "z"} # <- policy-rule-constant

else := -1 # <- policy-rule-dead
`,
  ],
  'policy-rule-overlap': [
    `
default decision := 0

decision := input.n if input.a == 1

decision := 5 if input.n == 5 # <- policy-rule-overlap
`,
    `
default decision := {}

decision := {"pool": input.b} if input.a == 1

decision := {"pool": "x"} if { # <- policy-rule-overlap
	input.b == "x"
	input.n == 0
}
`,
    `
decision := {"r": r}

default r := 0

r := input.a if input.b == "x"

r := 2 if input.a == 2 # <- policy-rule-overlap
`,
    `
default decision := ""

decision := "p" if input.n == 0

else := input.b if input.a == 1

decision := "y" if { # <- policy-rule-overlap
	input.b == "y"
	input.n > 0
}
`,
    `
default decision := 0

decision := input.n * 2 if input.a == 1

decision := input.n + 5 if input.n == 5 # <- policy-rule-overlap
`,
    [
      `
default decision := "none"

decision := "gold" if input.a == 1
`,
      `
decision := "gold" if input.b == "y" # <- policy-rule-overlap
`,
    ],
  ],
};
