package routing_test

test_public_data_goes_where_it_is_cheapest if {
	decision := decided with input as public
	decision.target.pool == "ap-south-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["us-east-gpu", "eu-west-gpu"]
	decision.trace == true
}

test_latency_target_comes_before_cost if {
	decision := decided with input as with_pool(public, "ap-south-gpu", {"p95_ms": 2501})
	decision.target.pool == "us-east-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["eu-west-gpu", "ap-south-gpu"]
}

test_latency_target_is_inclusive if {
	decided.target.pool == "ap-south-gpu" with input as with_pool(public, "ap-south-gpu", {"p95_ms": 2500})
}

test_pools_beyond_the_target_are_ordered_by_latency if {
	slow := with_pool(with_pool(public, "ap-south-gpu", {"p95_ms": 4000}), "us-east-gpu", {"p95_ms": 3000})
	decision := decided with input as slow
	decision.target.pool == "eu-west-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["us-east-gpu", "ap-south-gpu"]
}

test_cost_breaks_a_tie_of_latency_while_the_budget_burns if {
	burning := object.union(with_pool(public, "eu-west-gpu", {"p95_ms": 900}), {"slo": {"burn_rate": 6}})
	[fallback.pool | some fallback in decided.fallbacks] == ["eu-west-gpu", "ap-south-gpu"] with input as burning
	decided.target.pool == "us-east-gpu" with input as burning
}

test_the_name_decides_between_equals if {
	same := {"fleet": {"pools": {"us-east-gpu": {"cost_per_mtok": 0.48}}}}
	decided.target.pool == "ap-south-gpu" with input as public with change as same
}
