package routing_test

import data.routing

test_internal_data_stays_with_its_tenant if {
	internal := object.union(public, {"data_class": "internal"})
	decision := routing.decision with input as healthy with input.request as internal
	decision.target.pool == "us-east-gpu"
	decision.fallbacks == []
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

test_trust_zone_counts_beside_the_jurisdiction if {
	decision := routing.decision with input as healthy with data.fleet.clusters["eu-west"].trust_zone as "partner"
	decision.rule == "capacity"
}
