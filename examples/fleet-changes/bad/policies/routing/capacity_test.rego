package routing_test

import data.routing

test_saturated_pool_spills_over if {
	saturated := with_pool("eu-west-gpu", {"saturation": 0.95})
	decision := routing.decision with input as healthy with input.fleet.pools as saturated
	decision.rule == "primary"
	decision.target.pool == "us-east-gpu"
}

test_saturation_limit_is_exclusive if {
	at_limit := with_pool("eu-west-gpu", {"saturation": 0.85})
	decision := routing.decision with input as healthy with input.fleet.pools as at_limit
	decision.target.pool == "us-east-gpu"
}

test_full_queue_leaves_no_capacity if {
	full := with_pool("eu-west-gpu", {"queue": 64})
	decision := routing.decision with input as healthy with input.fleet.pools as full with input.flags as {}
	decision == {
		"allow": false,
		"target": null,
		"fallbacks": [],
		"priority": "low",
		"quota": null,
		"trace": false,
		"rule": "capacity",
		"reasons": ["NO_CAPACITY"],
	}
}

test_cold_pool_does_not_take_part if {
	cold := with_pool("eu-west-gpu", {"warm": false})
	decision := routing.decision with input as healthy with input.fleet.pools as cold
	decision.rule == "degraded"
}

test_pool_without_state_does_not_take_part if {
	some field in ["saturation", "queue", "p95_ms"]
	unknown := with_pool("eu-west-gpu", {field: null})
	decision := routing.decision with input as healthy with input.fleet.pools as unknown
	decision.rule == "degraded"
}

test_unknown_pool_does_not_take_part if {
	decision := routing.decision with input as healthy with input.fleet.pools as [object.union(pools[2], {"id": "mars-gpu"})]
	decision.rule == "capacity"
}

test_public_data_goes_where_it_is_cheapest if {
	decision := routing.decision with input as healthy with input.request as public
	decision.target.pool == "ap-south-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["us-east-gpu", "eu-west-gpu"]
	decision.trace == true
}

test_latency_target_comes_before_cost if {
	slow := with_pool("ap-south-gpu", {"p95_ms": 2501})
	decision := routing.decision with input as healthy with input.request as public with input.fleet.pools as slow
	decision.target.pool == "us-east-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["eu-west-gpu", "ap-south-gpu"]
}
