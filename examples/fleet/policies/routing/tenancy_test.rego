package routing_test

import data.routing

test_priority_is_capped_by_the_tenant if {
	high := object.union(public, {"priority": "high"})
	decision := routing.decision with input as healthy with input.request as high
	decision.priority == "normal"
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
