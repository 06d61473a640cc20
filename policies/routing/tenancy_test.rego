package routing_test

test_priority_is_capped_by_the_tenant if {
	decided.priority == "normal" with input as asking(public, {"priority": "high"})
	decided.priority == "normal" with input as asking(public, {"priority": "normal"})
	decided.priority == "low" with input as asking(public, {"priority": "low"})
	decided.priority == "high" with input as asking(healthy, {"priority": "high"})
}

test_unknown_tenant_is_refused if {
	decision := decided with input as asking(healthy, {"tenant": "umbrella"})
	decision.rule == "tenancy"
	decision.reasons == ["TENANT_UNKNOWN"]
}

test_workload_of_another_tenant_is_refused if {
	decided.reasons == ["WORKLOAD_NOT_OF_TENANT"] with input as asking(healthy, {"workload_identity": "wl/shop"})
}

test_model_outside_the_contract_is_refused if {
	decided.reasons == ["MODEL_NOT_ENTITLED"] with input as asking(healthy, {"model": "other"})
}

test_a_record_without_its_lists_refuses if {
	decided.reasons == ["WORKLOAD_NOT_OF_TENANT"] with input as healthy with changed as without("tenants/clinic/workloads")
	decided.reasons == ["MODEL_NOT_ENTITLED"] with input as healthy with changed as without("tenants/clinic/models")
}
