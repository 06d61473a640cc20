package routing_test

test_saturated_pool_spills_over if {
	decision := decided with input as with_pool(healthy, "eu-west-gpu", {"saturation": 0.95})
	decision.rule == "primary"
	decision.target.pool == "us-east-gpu"
}

test_a_model_without_a_stand_in_queues if {
	saturated := with_pool(asking(healthy, {"model": "small"}), "eu-west-cpu", {"saturation": 0.95})
	decided.rule == "queued" with input as saturated
}

test_full_queue_leaves_no_capacity if {
	decided == {
		"allow": false,
		"target": null,
		"fallbacks": [],
		"priority": "low",
		"quota": null,
		"trace": false,
		"rule": "capacity",
		"reasons": ["NO_CAPACITY"],
	} with input as without_leave(with_pool(healthy, "eu-west-gpu", {"queue": 64}))
}

test_fallbacks_end_at_the_limit if {
	decision := decided with input as public with change as {"limits": {"fallbacks": 1}}
	[fallback.pool | some fallback in decision.fallbacks] == ["us-east-gpu"]
}
