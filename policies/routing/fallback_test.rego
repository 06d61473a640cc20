package routing_test

test_saturated_pool_degrades_within_the_jurisdiction if {
	decision := decided with input as with_pool(healthy, "eu-west-gpu", {"saturation": 0.95})
	decision.rule == "degraded"
	decision.target.pool == "eu-west-cpu"
	decision.reasons == ["DEGRADED_MODEL"]
}

test_saturated_pool_queues_without_leave_to_degrade if {
	decision := decided with input as without_leave(with_pool(healthy, "eu-west-gpu", {"saturation": 0.95}))
	decision.rule == "queued"
	decision.target.pool == "eu-west-gpu"
	decision.reasons == ["QUEUED"]
}

test_leave_has_to_be_true if {
	saturated := with_pool(healthy, "eu-west-gpu", {"saturation": 0.95})
	every value in [false, "true", 1, null] {
		decided.rule == "queued" with input as object.union(saturated, {"flags": {"allow_degraded": value}})
	}
}

test_a_saturated_stand_in_queues_for_the_model_itself if {
	saturated := with_pool(with_pool(healthy, "eu-west-gpu", {"saturation": 0.95}), "eu-west-cpu", {"saturation": 0.95})
	decision := decided with input as saturated
	decision.rule == "queued"
	decision.target.pool == "eu-west-gpu"
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
