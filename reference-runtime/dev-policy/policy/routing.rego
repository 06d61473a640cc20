# METADATA
# title: Routing of the development runtime
# description: >-
#   What `mixgate-runtime serve --dev` routes by. The shape of input and decision is the fleet's own, so that a client that works here
#   works there. Requests of a known tenant go to the least saturated warm pool that serves the model; restricted data stays in the
#   jurisdiction of its origin.
package routing

default decision := {
	"allow": false,
	"rule": "default-deny",
	"reasons": ["NO_POOL"],
}

decision := {
	"allow": false,
	"rule": "unknown-tenant",
	"reasons": ["UNKNOWN_TENANT"],
} if {
	not known_tenant
}

decision := {
	"allow": true,
	"rule": "least-saturated",
	"target": target(best),
	"fallbacks": [target(pool) | some index, pool in ordered; index > 0],
	"priority": priority,
	"trace": true,
	"reasons": [],
} if {
	known_tenant
	count(ordered) > 0
	best := ordered[0]
}

known_tenant if data.tenants[input.request.tenant]

candidates := [pool |
	some pool in input.fleet.pools
	pool.model == input.request.model
	pool.warm
	not excluded(pool)
]

# By saturation, then by id: sort works on arrays, element by element.
ordered := [entry[2] |
	some entry in sort([[pool.saturation, pool.id, pool] | some pool in candidates])
]

# Restricted data of an unknown origin has no jurisdiction to stay in, and so no pool.
excluded(pool) if {
	restricted
	not at_home(pool)
}

at_home(pool) if pool.jurisdiction == data.jurisdictions[input.request.origin_region]

restricted if input.request.data_class == "restricted"

target(pool) := {
	"cluster": pool.cluster,
	"pool": pool.id,
	"model": pool.model,
	"version": pool.version,
}

priority := data.priorities[input.request.priority]

default priority := 3
