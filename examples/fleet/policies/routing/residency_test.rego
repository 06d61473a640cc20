package routing_test

test_internal_data_stays_with_its_tenant if {
	decision := decided with input as asking(public, {"data_class": "internal"})
	decision.target.pool == "us-east-gpu"
	decision.fallbacks == []
}

test_unknown_data_class_is_refused if {
	decision := decided with input as asking(healthy, {"data_class": "secret"})
	decision.rule == "residency"
	decision.reasons == ["DATA_CLASS_NOT_ENTITLED", "DATA_CLASS_UNKNOWN"]
}

test_a_class_that_was_not_bought_is_refused if {
	decided.reasons == ["DATA_CLASS_NOT_ENTITLED"] with input as asking(public, {"data_class": "restricted"})
}

test_unknown_origin_is_refused if {
	decided.reasons == ["ORIGIN_UNKNOWN"] with input as asking(healthy, {"origin_region": "moon-1"})
}

test_restricted_data_from_elsewhere_has_no_pool if {
	decided.rule == "capacity" with input as asking(healthy, {"origin_region": "us-east-1"})
}

test_trust_zone_counts_beside_the_jurisdiction if {
	decided.rule == "capacity" with input as healthy with change as {"fleet": {"clusters": {"eu-west": {"trust_zone": "partner"}}}}
	decided.rule == "capacity" with input as healthy with change as {"fleet": {"clusters": {"eu-west": {"jurisdiction": "CH"}}}}
}

test_jurisdictions_of_the_tenant_count_beside_the_origin if {
	both := {"tenants": {"clinic": {"jurisdictions": ["EU", "US"], "trust_zones": ["eu", "us"]}}}
	decision := decided with input as healthy with change as both
	decision.target.pool == "eu-west-gpu"
	decision.fallbacks == []
}

test_traces_need_the_tenants_consent_and_data_that_may_leave if {
	decided.trace == true with input as public
	decided.trace == false with input as public with change as {"tenants": {"shop": {"trace": false}}}
	decided.trace == false with input as healthy with change as {"tenants": {"clinic": {"trace": true}}}
}
