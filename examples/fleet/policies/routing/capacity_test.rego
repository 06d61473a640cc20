package routing_test

test_saturation_limit_is_exclusive if {
	decided.rule == "queued" with input as without_leave(with_pool(healthy, "eu-west-gpu", {"saturation": 0.85}))
	decided.rule == "primary" with input as without_leave(with_pool(healthy, "eu-west-gpu", {"saturation": 0.84}))
}

test_queue_limit_is_exclusive if {
	decided.rule == "capacity" with input as without_leave(with_pool(healthy, "eu-west-gpu", {"queue": 64}))
	decided.rule == "primary" with input as without_leave(with_pool(healthy, "eu-west-gpu", {"queue": 63}))
}

test_cold_pool_does_not_take_part if {
	decided.rule == "degraded" with input as with_pool(healthy, "eu-west-gpu", {"warm": false})
}

test_pool_without_state_does_not_take_part if {
	every field in ["saturation", "queue", "p95_ms", "warm"] {
		decided.rule == "degraded" with input as with_pool(healthy, "eu-west-gpu", {field: null})
	}
}

test_unknown_pool_does_not_take_part if {
	mars := object.union(healthy, {"fleet": {"pools": [object.union(pools[2], {"id": "mars-gpu"})]}})
	decided.rule == "capacity" with input as mars
}
