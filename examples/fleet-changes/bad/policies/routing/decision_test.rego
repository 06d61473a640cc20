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

test_internal_data_stays_with_its_tenant if {
	internal := object.union(public, {"data_class": "internal"})
	decision := routing.decision with input as healthy with input.request as internal
	decision.target.pool == "us-east-gpu"
	decision.fallbacks == []
}

test_latency_target_comes_before_cost if {
	slow := with_pool("ap-south-gpu", {"p95_ms": 2501})
	decision := routing.decision with input as healthy with input.request as public with input.fleet.pools as slow
	decision.target.pool == "us-east-gpu"
	[fallback.pool | some fallback in decision.fallbacks] == ["eu-west-gpu", "ap-south-gpu"]
}

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

test_priority_is_capped_by_the_tenant if {
	high := object.union(public, {"priority": "high"})
	decision := routing.decision with input as healthy with input.request as high
	decision.priority == "normal"
}

test_empty_input_is_refused_with_every_code if {
	decision := routing.decision with input as {}
	decision.rule == "intake"
	count(decision.reasons) == 11
}

test_each_missing_field_is_refused if {
	missing := {
		"id": "REQUEST_ID_MISSING",
		"tenant": "TENANT_MISSING",
		"workload_identity": "WORKLOAD_IDENTITY_MISSING",
		"data_class": "DATA_CLASS_MISSING",
		"origin_region": "ORIGIN_REGION_MISSING",
		"model": "MODEL_MISSING",
		"priority": "PRIORITY_UNKNOWN",
		"tokens": "TOKENS_MISSING",
	}
	every field, code in missing {
		decision := routing.decision with input as healthy with input.request as object.remove(request, [field])
		decision.rule == "intake"
		decision.reasons == [code]
	}
}

test_empty_text_is_missing if {
	decision := routing.decision with input as healthy with input.request.tenant as ""
	decision.reasons == ["TENANT_MISSING"]
}

test_unknown_tenant_is_refused if {
	decision := routing.decision with input as healthy with input.request.tenant as "umbrella"
	decision.rule == "tenancy"
	decision.reasons == ["TENANT_UNKNOWN"]
}

test_workload_of_another_tenant_is_refused if {
	decision := routing.decision with input as healthy with input.request.workload_identity as "spiffe://fleet.example/ns/globex/sa/web"
	decision.reasons == ["WORKLOAD_NOT_OF_TENANT"]
}

test_model_outside_the_contract_is_refused if {
	decision := routing.decision with input as healthy with input.request.model as "other"
	decision.reasons == ["MODEL_NOT_ENTITLED"]
}

test_too_many_tokens_are_refused if {
	decision := routing.decision with input as healthy with input.request.tokens as 8193
	decision.reasons == ["QUOTA_EXCEEDED"]
}

test_record_without_a_quota_refuses if {
	tenants := {"acme-health": object.union(object.remove(data.tenants["acme-health"], ["quota"]), {"quota": {}})}
	decision := routing.decision with input as healthy with data.tenants as tenants
	decision.reasons == ["QUOTA_EXCEEDED"]
}

test_unknown_data_class_is_refused if {
	decision := routing.decision with input as healthy with input.request.data_class as "secret"
	decision.rule == "residency"
	decision.reasons == ["DATA_CLASS_NOT_ENTITLED", "DATA_CLASS_UNKNOWN"]
}

test_unknown_origin_is_refused if {
	decision := routing.decision with input as healthy with input.request.origin_region as "moon-1"
	decision.reasons == ["ORIGIN_UNKNOWN"]
}

test_restricted_data_from_elsewhere_has_no_pool if {
	decision := routing.decision with input as healthy with input.request.origin_region as "us-east-1"
	decision.rule == "capacity"
}

test_model_without_a_record_is_refused if {
	decision := routing.decision with input as healthy with data.models as {}
	decision.rule == "lifecycle"
	decision.reasons == ["MODEL_NOT_SERVED"]
}

test_retired_model_is_refused if {
	decision := routing.decision with input as object.union(healthy, {"request": {
		"tenant": "nordbank",
		"workload_identity": "spiffe://fleet.example/ns/nordbank/sa/batch",
		"model": "mixtral-8x7b-base",
	}})
	decision.reasons == ["MODEL_NOT_SERVED"]
}

test_retired_version_takes_no_traffic if {
	decision := routing.decision with input as healthy with data.models["mixtral-8x7b-instruct"].versions as {"1.0.0": "retired", "1.1.0": "production"}
	decision.rule == "degraded"
}

test_trust_zone_counts_beside_the_jurisdiction if {
	decision := routing.decision with input as healthy with data.fleet.clusters["eu-west"].trust_zone as "partner"
	decision.rule == "capacity"
}
