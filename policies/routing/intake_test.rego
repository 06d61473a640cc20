package routing_test

import data.routing

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
