package routing_test

test_empty_input_is_refused_with_every_code if {
	decision := decided with input as {}
	decision.rule == "intake"
	count(decision.reasons) == 11
}

test_each_missing_field_is_refused if {
	missing := {
		"/request/id": "REQUEST_ID_MISSING",
		"/request/tenant": "TENANT_MISSING",
		"/request/workload_identity": "WORKLOAD_IDENTITY_MISSING",
		"/request/data_class": "DATA_CLASS_MISSING",
		"/request/origin_region": "ORIGIN_REGION_MISSING",
		"/request/model": "MODEL_MISSING",
		"/request/priority": "PRIORITY_UNKNOWN",
		"/request/tokens": "TOKENS_MISSING",
		"/slo/burn_rate": "BURN_RATE_MISSING",
		"/slo/budget_left": "ERROR_BUDGET_MISSING",
		"/fleet/pools": "FLEET_STATE_MISSING",
	}
	every path, code in missing {
		decision := decided with input as json.remove(healthy, [path])
		decision.rule == "intake"
		decision.reasons == [code]
	}
}

test_each_field_of_the_wrong_type_is_refused if {
	wrong := {
		"/request/id": "REQUEST_ID_MISSING",
		"/request/tenant": "TENANT_MISSING",
		"/request/workload_identity": "WORKLOAD_IDENTITY_MISSING",
		"/request/data_class": "DATA_CLASS_MISSING",
		"/request/origin_region": "ORIGIN_REGION_MISSING",
		"/request/model": "MODEL_MISSING",
		"/request/priority": "PRIORITY_UNKNOWN",
		"/request/tokens": "TOKENS_MISSING",
		"/slo/burn_rate": "BURN_RATE_MISSING",
		"/slo/budget_left": "ERROR_BUDGET_MISSING",
		"/fleet/pools": "FLEET_STATE_MISSING",
	}
	every path, code in wrong {
		every value in [null, true, {}] {
			decided.reasons == [code] with input as json.patch(healthy, [{"op": "replace", "path": path, "value": value}])
		}
	}
}

test_empty_text_is_missing if decided.reasons == ["TENANT_MISSING"] with input as asking(healthy, {"tenant": ""})

test_a_pool_with_two_states_is_refused if {
	twice := array.concat(pools, [object.union(pools[2], {"saturation": 0.95})])
	decided.reasons == ["FLEET_STATE_AMBIGUOUS"] with input as object.union(healthy, {"fleet": {"pools": twice}})
}

test_size_has_to_be_positive if {
	decided.reasons == ["TOKENS_MISSING"] with input as asking(healthy, {"tokens": 0})
	decided.rule == "primary" with input as asking(healthy, {"tokens": 1})
}

test_every_priority_is_known if {
	every priority in ["high", "normal", "low"] {
		decided.rule == "primary" with input as asking(healthy, {"priority": priority})
	}
}
