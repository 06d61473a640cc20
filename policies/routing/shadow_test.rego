package routing_test

# The next build of the small model gets copies, of tenants that agreed.
copied := object.union(built, {
	"tenants": {"clinic": {"shadow": true}},
	"shadows": {"small": {"pools": ["us-east-cpu-next", "eu-west-cpu-next"], "share": 0.05}},
})

test_a_copy_goes_to_the_shadow_pool_in_the_jurisdiction if {
	decision := decided with input as small with change as copied
	decision.target.pool == "eu-west-cpu"
	decision.shadow == {
		"share": 0.05,
		"target": {"cluster": "eu-west", "pool": "eu-west-cpu-next", "model": "small", "version": "1.0.0"},
	}
}

test_nothing_is_copied_for_a_tenant_that_did_not_agree if {
	decision := decided with input as small with change as object.union(copied, {"tenants": {"clinic": {"shadow": false}}})
	decision.allow
	decision.shadow == null
}

test_a_full_shadow_pool_gets_no_copy if {
	decided.shadow == null with input as with_pool(small, "eu-west-cpu-next", {"saturation": 0.9}) with change as copied
}

test_the_pool_that_answers_gets_no_copy_of_its_own if {
	decision := decided with input as with_pool(small, "eu-west-cpu", {"warm": false}) with change as copied
	decision.target.pool == "eu-west-cpu-next"
	decision.shadow == null
}

test_a_model_without_shadow_pools_is_not_copied if {
	decided.shadow == null with input as with_next with change as copied
}
