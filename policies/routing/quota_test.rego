package routing_test

test_too_many_tokens_are_refused if {
	decision := decided with input as asking(healthy, {"tokens": 8193})
	decision.rule == "tenancy"
	decision.reasons == ["QUOTA_EXCEEDED"]
}

test_quota_is_inclusive if decided.rule == "primary" with input as asking(healthy, {"tokens": 8192})

test_record_without_a_quota_refuses if {
	decided.reasons == ["QUOTA_EXCEEDED"] with input as healthy with changed as without("tenants/clinic/quota")
	decided.reasons == ["QUOTA_EXCEEDED"] with input as healthy with changed as without("tenants/clinic/quota/tokens_per_request")
}

test_the_answer_carries_the_quota if {
	decided.quota == {"tokens_per_request": 8192, "tokens_per_minute": 400000, "max_concurrency": 64} with input as healthy
}

test_quota_is_named_beside_what_else_the_contract_lacks if {
	decision := decided with input as asking(healthy, {"tokens": 8193, "model": "other"})
	decision.reasons == ["MODEL_NOT_ENTITLED", "QUOTA_EXCEEDED"]
}

test_an_unknown_tenant_has_no_quota_to_exceed if {
	decided.reasons == ["TENANT_UNKNOWN"] with input as asking(healthy, {"tenant": "nobody", "tokens": 8193})
}
