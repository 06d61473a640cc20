# METADATA
# title: Only live versions serve
# description: |
#   A target or a fallback runs a version in a stage that takes traffic, the version that the fleet says, on an
#   accelerator that its model names. Reads data.models, data.limits.servable and data.fleet.pools.
package invariants.lifecycle

violation contains "a version that takes no traffic is a target" if {
	input.decision.allow
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not data.models[target.model].versions[target.version] in data.limits.servable
}

violation contains "a target names another model or version than its pool runs" if {
	input.decision.allow
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not true_to_fleet(target)
}

violation contains "a model is served on an accelerator that it does not name" if {
	input.decision.allow
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not data.fleet.pools[target.pool].accelerator in data.models[target.model].accelerators
}

true_to_fleet(target) if {
	pool := data.fleet.pools[target.pool]
	[target.cluster, target.model, target.version] == [pool.cluster, pool.model, pool.version]
}
