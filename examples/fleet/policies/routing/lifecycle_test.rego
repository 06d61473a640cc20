package routing_test

import data.routing

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
