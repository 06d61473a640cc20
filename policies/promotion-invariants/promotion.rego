# METADATA
# title: Nothing moves without evidence
# description: |
#   An environment moves only to a full commit hash, with a pass for every gate that it requires, from the command that may
#   speak for the gate and in evidence that is not from the future; never while evidence for the commit failed or stayed
#   undecided. Reads data.promotion.
package invariants.promotion

commit := input.input.commit

# What was said about exactly this commit.
said := [document.predicate |
	some document in input.input.evidence
	document.predicate.commit == commit
]

refusing := {"fail", "error", "inconclusive"}

accepted contains "pass"

accepted contains "warn" if data.promotion.allow_warn == true

violation contains "there is no decision" if not decided

decided if is_boolean(input.decision.allow)

violation contains "a refusal names no reason" if {
	input.decision.allow == false
	count(input.decision.reasons) == 0
}

violation contains "a permission comes with a reason against it" if {
	input.decision.allow
	count(input.decision.reasons) > 0
}

violation contains "an environment moves to what is no full commit hash" if {
	input.decision.allow
	not full
}

full if count(commit) in {40, 64}

violation contains "an environment moves without requiring anything" if {
	input.decision.allow
	count(input.input.environment.requires) == 0
}

violation contains "an environment moves without a pass of a gate that it requires" if {
	input.decision.allow
	some gate in input.input.environment.requires
	not passed(gate)
}

passed(id) if {
	some document in said
	document.created <= input.input.now
	object.get(data.promotion.sources, id, document.command) == document.command
	some gate in document.gates
	gate.id == id
	gate.verdict in accepted
}

violation contains "an environment moves although evidence for the commit is against it" if {
	input.decision.allow
	some document in said
	document.verdict in refusing
}

violation contains "an environment moves although a gate in evidence for the commit is against it" if {
	input.decision.allow
	some document in said
	some gate in document.gates
	gate.verdict in refusing
}
