# METADATA
# title: Promotion gate
# description: |
#   Whether an environment may move to a commit. Allows only when every required gate has evidence for exactly this
#   commit, on the base it was compared with, that passed and is not too old, and when no evidence for the commit
#   failed or stayed undecided. Evidence for other commits is no evidence. Settings: data.promotion = {allow_warn,
#   max_age_seconds, sources}; without them warnings are refused and nothing is young enough.
# custom:
#   input: "{environment: {name, requires: [gate]}, commit, base, now, evidence: [{predicateType, subject, predicate: {verdict, gates: [{id, verdict, reason}], commit, command, created}}]}"
package promotion

# METADATA
# title: The decision
# description: "{allow, reasons: [code]}; codes are sorted, and name the gate after a colon where one is concerned."
decision := {"allow": count(problems) == 0, "reasons": sort(problems)}

# METADATA
# title: Evidence about the commit to promote
# description: Other documents don't count, neither for nor against.
relevant contains document if {
	some document in input.evidence
	document.predicate.commit == input.commit
}

# METADATA
# title: Relevant evidence that is young enough
fresh contains document if {
	some document in relevant
	age := seconds(input.now) - seconds(document.predicate.created)
	age >= 0
	age <= data.promotion.max_age_seconds
}

# METADATA
# title: Gates that passed in fresh evidence
passed contains gate.id if {
	some document in fresh
	some gate in document.predicate.gates
	speaks(document, gate.id)
	acceptable(gate.verdict)
}

# METADATA
# title: Whether a document says something about a gate
# description: |
#   One gate may report from two commands: `mixgate check` reads SLO files, only `mixgate slo gate` looks at burn rates.
#   data.promotion.sources.<gate> names the command whose evidence counts; a gate that isn't there takes any.
speaks(_, gate) if not data.promotion.sources[gate]

speaks(document, gate) if document.predicate.command == data.promotion.sources[gate]

acceptable("pass") := true

acceptable("warn") if data.promotion.allow_warn == true

# METADATA
# title: Problems
# description: Codes of what stands against the promotion; empty when it may go.
problems contains code if {
	some code in (required - given)
}

problems contains "NO_EVIDENCE_FOR_COMMIT" if count(relevant) == 0

problems contains concat(":", ["GATE_MISSING", gate]) if {
	some gate in input.environment.requires
	not gate in reported
}

problems contains concat(":", ["GATE_NOT_PASSED", gate]) if {
	some gate in input.environment.requires
	gate in reported
	not gate in passed
}

# Evidence against the commit counts whatever its age, and also for gates that this environment doesn't require.
problems contains concat(":", ["GATE_FAILED", gate.id]) if {
	some document in relevant
	some gate in document.predicate.gates
	gate.verdict in {"fail", "error", "inconclusive"}
}

problems contains "EVIDENCE_FAILED" if {
	some document in relevant
	document.predicate.verdict in {"fail", "error", "inconclusive"}
}

problems contains "EVIDENCE_VERDICT_UNKNOWN" if count(relevant - judged) > 0

judged contains document if {
	some document in relevant
	document.predicate.verdict in {"pass", "warn", "fail", "error", "inconclusive"}
}

# Gates that fresh evidence speaks about at all.
reported contains gate.id if {
	some document in fresh
	some gate in document.predicate.gates
	speaks(document, gate.id)
}

# What must be there for any of this to mean something.
required := {"COMMIT_MISSING", "NOW_MISSING", "ENVIRONMENT_MISSING", "REQUIREMENTS_MISSING", "EVIDENCE_MISSING"}

given contains "COMMIT_MISSING" if regex.match(`^[0-9a-f]{40}([0-9a-f]{24})?$`, input.commit)

given contains "NOW_MISSING" if seconds(input.now)

given contains "ENVIRONMENT_MISSING" if {
	is_string(input.environment.name)
	input.environment.name != ""
}

given contains "REQUIREMENTS_MISSING" if {
	is_array(input.environment.requires)
	count(input.environment.requires) > 0
}

given contains "EVIDENCE_MISSING" if is_array(input.evidence)

# METADATA
# title: Seconds since 1970 of a UTC instant
# description: |
#   RFC 3339 with Z, e.g. 2026-01-31T12:00:00Z; fractions of a second are dropped. Computed here because time.* needs a host
#   function that not every WASM host has. Days from the civil calendar: H. Hinnant, "chrono-Compatible Low-Level Date
#   Algorithms", days_from_civil.
seconds(instant) := ((((days * 24) + two(instant, 11)) * 3600) + (two(instant, 14) * 60)) + two(instant, 17) if {
	regex.match(`^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$`, instant)
	month := two(instant, 5)
	year := to_number(substring(instant, 0, 4)) - early[month <= 2]
	era := floor(year / 400)
	of_era := year - (era * 400)
	of_year := floor(((153 * ((month + 9) % 12)) + 2) / 5) + (two(instant, 8) - 1)
	days := ((era * 146097) + ((((of_era * 365) + floor(of_era / 4)) - floor(of_era / 100)) + of_year)) - 719468
}

# Two digits at a place; the 1 in front keeps a leading zero from being read as an octal or a malformed number.
two(text, start) := to_number(concat("", ["1", substring(text, start, 2)])) - 100

early := {true: 1, false: 0}
