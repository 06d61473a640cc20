package routing_test

# The small model has a next build beside the current one in two places, and shares its traffic between them.
built := {
	"fleet": {"pools": {
		"eu-west-cpu-next": {"cluster": "eu-west", "accelerator": "cpu", "model": "small", "version": "1.0.0", "cost_per_mtok": 0.09},
		"us-east-cpu-next": {"cluster": "us-east", "accelerator": "cpu", "model": "small", "version": "1.0.0", "cost_per_mtok": 0.08},
	}},
	"splits": {"small": {"stick_to": "user", "arms": {
		"current": {"weight": 95, "pools": ["us-east-cpu", "eu-west-cpu"]},
		"next": {"weight": 5, "pools": ["us-east-cpu-next", "eu-west-cpu-next"]},
	}}},
}

next_pools := [
	{"id": "eu-west-cpu-next", "saturation": 0.1, "queue": 0, "p95_ms": 1900, "warm": true},
	{"id": "us-east-cpu-next", "saturation": 0.1, "queue": 0, "p95_ms": 1900, "warm": true},
]

with_next := object.union(healthy, {"fleet": {"pools": array.concat(pools, next_pools)}})

small := asking(with_next, {"model": "small", "user": "user-7"})

arm(name, weight, pool) := {
	"id": name,
	"weight": weight,
	"target": {"cluster": "eu-west", "pool": pool, "model": "small", "version": "1.0.0"},
}

test_a_split_names_the_arms_that_may_answer if {
	decision := decided with input as small with change as built
	decision.split == {
		"id": "small",
		"key": "clinic/user-7",
		"arms": [arm("current", 95, "eu-west-cpu"), arm("next", 5, "eu-west-cpu-next")],
	}
}

test_a_split_keeps_a_tenant_together_when_nobody_is_named if {
	decided.split.key == "clinic/" with input as json.remove(small, ["/request/user"]) with change as built
}

test_a_split_of_the_stand_in_applies_to_degraded_answers if {
	at_home := [pool | some pool in with_next.fleet.pools; startswith(pool.id, "eu-west")]
	saturated := with_pool(object.union(with_next, {"fleet": {"pools": at_home}}), "eu-west-gpu", {"saturation": 0.95})
	decision := decided with input as saturated with change as built
	decision.rule == "degraded"
	[entry.id | some entry in decision.split.arms] == ["current", "next"]
}

test_an_arm_takes_the_best_of_its_pools if {
	asked := asking(object.union(with_next, {"request": public.request}), {"model": "small"})
	decision := decided with input as asked with change as built
	[entry.target.pool | some entry in decision.split.arms] == ["us-east-cpu", "us-east-cpu-next"]
}

test_one_arm_is_no_split if {
	decision := decided with input as asking(healthy, {"model": "small"}) with change as built
	decision.allow
	decision.split == null
}

test_a_model_without_a_split_has_none if {
	decided.split == null with input as with_next with change as built
}
