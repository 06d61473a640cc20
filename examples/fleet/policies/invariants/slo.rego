# METADATA
# title: A spent error budget sheds
# description: |
#   While the budget is spent, a request of low priority is not served, and one that was asked with a higher priority is
#   never shed if its tenant bought that. Reads data.limits.budget_left and data.tenants.
package invariants.slo

spent if input.input.slo.budget_left <= data.limits.budget_left

violation contains "a request of low priority is served while the error budget is spent" if {
	input.decision.allow
	input.decision.priority == "low"
	spent
}

violation contains "a request is shed although the error budget is left" if {
	input.decision.rule == "shed"
	not spent
}

violation contains "a request of high priority is shed" if {
	input.decision.rule == "shed"
	input.input.request.priority == "high"
	data.tenants[input.input.request.tenant].max_priority == "high"
}
