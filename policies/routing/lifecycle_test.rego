package routing_test

test_model_without_a_record_is_refused if {
	decision := decided with input as healthy with changed as without("models/big")
	decision.rule == "lifecycle"
	decision.reasons == ["MODEL_NOT_SERVED"]
}

test_retired_model_is_refused if decided.reasons == ["MODEL_NOT_SERVED"] with input as asking(healthy, {"model": "old"})

test_retired_version_takes_no_traffic if {
	retired := {"models": {"big": {"versions": {"1.0.0": "retired", "1.1.0": "production"}}}}
	decided.rule == "degraded" with input as healthy with change as retired
}

test_a_canary_takes_traffic_where_the_limits_say_so if {
	canary := {"models": {"big": {"versions": {"1.0.0": "canary"}}}}
	decided.rule == "primary" with input as healthy with change as canary
	decided.rule == "lifecycle" with input as healthy with change as object.union(canary, {"limits": {"servable": ["production"]}})
}
