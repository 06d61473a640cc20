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

test_a_model_runs_on_no_other_accelerator if {
	elsewhere := {"models": {"big": {"accelerators": ["tpu"]}}}
	decided.rule == "degraded" with input as healthy with change as elsewhere
}

test_a_model_that_names_no_accelerator_runs_nowhere if {
	decided.rule == "degraded" with input as healthy with changed as without("models/big/accelerators")
}

test_a_pool_of_no_known_accelerator_serves_nobody if {
	decided.rule == "degraded" with input as healthy with changed as without("fleet/pools/eu-west-gpu/accelerator")
}
