package routing_test

test_burning_budget_puts_latency_first if {
	decided.target.pool == "us-east-gpu" with input as object.union(public, {"slo": {"burn_rate": 5.5}})
}

test_burn_rate_limit_is_exclusive if {
	decided.target.pool == "ap-south-gpu" with input as object.union(public, {"slo": {"burn_rate": 5}})
}

test_spent_budget_sheds_low_priority if {
	decision := decided with input as object.union(asking(healthy, {"priority": "low"}), {"slo": {"budget_left": 0}})
	decision.rule == "shed"
	decision.reasons == ["ERROR_BUDGET_SPENT"]
}

test_spent_budget_keeps_normal_priority if {
	decided.rule == "primary" with input as object.union(healthy, {"slo": {"budget_left": 0}})
}

test_spent_budget_sheds_whom_the_tenant_caps_at_low if {
	high := object.union(asking(public, {"priority": "high"}), {"slo": {"budget_left": 0}})
	decided.rule == "shed" with input as high with change as {"tenants": {"shop": {"max_priority": "low"}}}
}

test_budget_that_is_left_keeps_low_priority if decided.rule == "primary" with input as asking(healthy, {"priority": "low"})

test_budget_limit_is_inclusive if {
	low := object.union(asking(healthy, {"priority": "low"}), {"slo": {"budget_left": 0.1}})
	decided.rule == "shed" with input as low with change as {"limits": {"budget_left": 0.1}}
}
