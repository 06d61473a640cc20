package routing_test

import data.routing

test_burning_budget_puts_latency_first if {
	decision := routing.decision with input as healthy with input.request as public with input.slo.burn_rate as 5.5
	decision.target.pool == "us-east-gpu"
}

test_burn_rate_limit_is_exclusive if {
	decision := routing.decision with input as healthy with input.request as public with input.slo.burn_rate as 5
	decision.target.pool == "ap-south-gpu"
}

test_spent_budget_sheds_low_priority if {
	low := object.union(request, {"priority": "low"})
	decision := routing.decision with input as healthy with input.request as low with input.slo.budget_left as 0
	decision.rule == "shed"
	decision.reasons == ["ERROR_BUDGET_SPENT"]
}

test_spent_budget_keeps_normal_priority if {
	decision := routing.decision with input as healthy with input.slo.budget_left as 0
	decision.rule == "primary"
}

test_budget_that_is_left_keeps_low_priority if {
	low := object.union(request, {"priority": "low"})
	decision := routing.decision with input as healthy with input.request as low
	decision.rule == "primary"
}

test_budget_limit_is_inclusive if {
	low := object.union(request, {"priority": "low"})
	decision := routing.decision with input as healthy with input.request as low with input.slo.budget_left as 0.1 with data.limits.budget_left as 0.1
	decision.rule == "shed"
}
