package routing_test

import data.routing

# One complete request of a tenant with EU residency, and a healthy fleet.
request := {
	"id": "r-1",
	"tenant": "acme-health",
	"workload_identity": "spiffe://fleet.example/ns/acme-health/sa/assistant",
	"data_class": "restricted",
	"origin_region": "eu-west-1",
	"model": "mixtral-8x7b-instruct",
	"task": "chat",
	"priority": "normal",
	"tokens": 512,
}

pools := [
	{"id": "us-east-gpu", "saturation": 0.4, "queue": 2, "p95_ms": 900, "warm": true},
	{"id": "us-east-cpu", "saturation": 0.3, "queue": 0, "p95_ms": 1900, "warm": true},
	{"id": "eu-west-gpu", "saturation": 0.5, "queue": 3, "p95_ms": 950, "warm": true},
	{"id": "eu-west-cpu", "saturation": 0.2, "queue": 0, "p95_ms": 2000, "warm": true},
	{"id": "ap-south-gpu", "saturation": 0.6, "queue": 4, "p95_ms": 1000, "warm": true},
	{"id": "ap-south-cpu", "saturation": 0.1, "queue": 0, "p95_ms": 2100, "warm": true},
]

healthy := {
	"request": request,
	"fleet": {"pools": pools},
	"slo": {"burn_rate": 0.8, "budget_left": 0.7},
	"flags": {"allow_degraded": true},
}

public := object.union(request, {
	"tenant": "globex",
	"workload_identity": "spiffe://fleet.example/ns/globex/sa/web",
	"data_class": "public",
	"origin_region": "us-east-1",
})

# The pools with one of them changed.
with_pool(id, change) := [object.union(pool, patch) |
	some pool in pools
	patch := {true: change, false: {}}[pool.id == id]
]

test_restricted_data_stays_in_its_jurisdiction if {
	decision := routing.decision with input as healthy
	decision.allow
	decision.rule == "primary"
	decision.target == {"cluster": "eu-west", "pool": "eu-west-gpu", "model": "mixtral-8x7b-instruct", "version": "1.0.0"}
	decision.fallbacks == []
	decision.trace == false
	decision.quota.tokens_per_request == 8192
}

test_an_entitled_tenant_keeps_its_high_priority if {
	decision := routing.decision with input as object.union(healthy, {"request": {"priority": "high"}})
	decision.allow
	decision.priority == "high"
}

# Public data may go anywhere: to the cheapest pool of the model, and to the fastest while the budget burns.
test_public_data_for_the_small_model[pool] if {
	some pool, burn_rate in {"ap-south-cpu": 0.8, "us-east-cpu": 6}
	asked := object.union(request, {"data_class": "public", "model": "mixtral-micro"})
	decision := routing.decision with input as object.union(healthy, {"request": asked, "slo": {"burn_rate": burn_rate}})
	decision.target.pool == pool
}
