# METADATA
# title: Every answer is complete
# description: |
#   There is always a decision; a refusal names a reason, an answer a pool that the fleet has. Reads data.fleet.pools.
package invariants.decision

violation contains "there is no decision" if not decided

decided if is_boolean(input.decision.allow)

violation contains "a refusal names no reason" if {
	input.decision.allow == false
	count(input.decision.reasons) == 0
}

violation contains "an answer has no target pool" if {
	input.decision.allow
	not targeted
}

targeted if data.fleet.pools[input.decision.target.pool]
