package routing_test

import data.routing

# A fleet of the tests' own, so that they hold whatever the data document says: it is data_test.rego that looks at that.
world := {
	"fleet": {
		"clusters": {
			"us-east": {"region": "us-east-1", "jurisdiction": "US", "trust_zone": "us"},
			"eu-west": {"region": "eu-west-1", "jurisdiction": "EU", "trust_zone": "eu"},
			"ap-south": {"region": "ap-south-1", "jurisdiction": "IN", "trust_zone": "ap"},
		},
		"pools": {
			"us-east-gpu": {"cluster": "us-east", "accelerator": "gpu", "model": "big", "version": "1.0.0", "cost_per_mtok": 0.55},
			"us-east-cpu": {"cluster": "us-east", "accelerator": "cpu", "model": "small", "version": "1.0.0", "cost_per_mtok": 0.08},
			"eu-west-gpu": {"cluster": "eu-west", "accelerator": "gpu", "model": "big", "version": "1.0.0", "cost_per_mtok": 0.62},
			"eu-west-cpu": {"cluster": "eu-west", "accelerator": "cpu", "model": "small", "version": "1.0.0", "cost_per_mtok": 0.09},
			"ap-south-gpu": {"cluster": "ap-south", "accelerator": "gpu", "model": "big", "version": "1.0.0", "cost_per_mtok": 0.48},
			"ap-south-cpu": {"cluster": "ap-south", "accelerator": "cpu", "model": "small", "version": "1.0.0", "cost_per_mtok": 0.07},
		},
	},
	"tenants": {
		"clinic": {
			"workloads": ["wl/clinic"],
			"models": ["big", "small", "old"],
			"data_classes": ["public", "internal", "restricted"],
			"jurisdictions": ["EU"],
			"trust_zones": ["eu"],
			"quota": {"tokens_per_request": 8192, "tokens_per_minute": 400000, "max_concurrency": 64},
			"max_priority": "high",
			"trace": false,
		},
		"shop": {
			"workloads": ["wl/shop"],
			"models": ["big", "small"],
			"data_classes": ["public", "internal"],
			"jurisdictions": ["US"],
			"trust_zones": ["us"],
			"quota": {"tokens_per_request": 8192, "tokens_per_minute": 600000, "max_concurrency": 96},
			"max_priority": "normal",
			"trace": true,
		},
	},
	"models": {
		"big": {"versions": {"1.0.0": "production"}, "accelerators": ["gpu"], "degrade_to": "small"},
		"small": {"versions": {"1.0.0": "production"}, "accelerators": ["cpu", "gpu"]},
		"old": {"versions": {"0.9.0": "retired"}, "accelerators": ["gpu"]},
	},
	"splits": {},
	"shadows": {},
	"residency": {
		"classes": {"public": "any", "internal": "tenant", "restricted": "origin"},
		"regions": {"us-east-1": "US", "eu-west-1": "EU", "ap-south-1": "IN"},
	},
	"limits": {
		"saturation": 0.85,
		"queue": 64,
		"p95_ms": 2500,
		"burn_rate": 5,
		"budget_left": 0,
		"fallbacks": 2,
		"servable": ["canary", "production"],
	},
}

# One complete request of a tenant with EU residency, and a healthy fleet.
request := {
	"id": "r-1",
	"tenant": "clinic",
	"workload_identity": "wl/clinic",
	"data_class": "restricted",
	"origin_region": "eu-west-1",
	"model": "big",
	"task": "chat",
	"priority": "normal",
	"tokens": 512,
}

pools := [
	{"id": "us-east-gpu", "saturation": 0.4, "queue": 2, "p95_ms": 900, "warm": true},
	{"id": "us-east-cpu", "saturation": 0.3, "queue": 0, "p95_ms": 1900, "warm": true},
	{"id": "eu-west-gpu", "saturation": 0.5, "queue": 3, "p95_ms": 950, "warm": true},
	{"id": "eu-west-cpu", "saturation": 0.2, "queue": 0, "p95_ms": 2000, "warm": true},
	{"id": "ap-south-gpu", "saturation": 0.6, "queue": 4, "p95_ms": 1000, "warm": true},
	{"id": "ap-south-cpu", "saturation": 0.1, "queue": 0, "p95_ms": 2100, "warm": true},
]

healthy := {
	"request": request,
	"fleet": {"pools": pools},
	"slo": {"burn_rate": 0.8, "budget_left": 0.7},
	"flags": {"allow_degraded": true},
}

public := object.union(healthy, {"request": {
	"tenant": "shop",
	"workload_identity": "wl/shop",
	"data_class": "public",
	"origin_region": "us-east-1",
}})

# The decision on the fleet of the tests. A rule, not a function: `opa build -t wasm` of a folder with tests takes every rule that
# leads to the entrypoint for one, and refuses functions.
decided := decision if {
	decision := routing.decision with data.fleet as changed.fleet
		with data.tenants as changed.tenants
		with data.models as changed.models
		with data.splits as changed.splits
		with data.shadows as changed.shadows
		with data.residency as changed.residency
		with data.limits as changed.limits
}

# What a test changes of that fleet, `with change as ...`.
change := {}

changed := object.union(world, change)

# The fleet of the tests without a path of it.
without(path) := json.remove(world, [path])

# An input with some of it changed.
asking(value, change) := object.union(value, {"request": change})

with_pool(value, id, change) := object.union(value, {"fleet": {"pools": [object.union(pool, patch) |
	some pool in value.fleet.pools
	patch := {true: change, false: {}}[pool.id == id]
]}})

without_leave(value) := object.remove(value, ["flags"])

test_restricted_data_stays_in_its_jurisdiction if {
	decision := decided with input as healthy
	decision.allow
	decision.rule == "primary"
	decision.target == {"cluster": "eu-west", "pool": "eu-west-gpu", "model": "big", "version": "1.0.0"}
	decision.fallbacks == []
	decision.trace == false
	decision.quota.tokens_per_request == 8192
}

test_refusals_come_in_the_order_of_the_chain if {
	# Everything is wrong with this one; each repair lets the next line decide.
	low := asking(healthy, {"priority": "low", "origin_region": "moon-1", "model": "old", "tokens": 8193, "id": ""})
	spent := object.union(low, {"slo": {"budget_left": 0}})
	repairs := [
		["intake", spent],
		["tenancy", asking(spent, {"id": "r-1"})],
		["residency", asking(spent, {"id": "r-1", "tokens": 1})],
		["lifecycle", asking(spent, {"id": "r-1", "tokens": 1, "origin_region": "eu-west-1"})],
		["shed", asking(spent, {"id": "r-1", "tokens": 1, "origin_region": "eu-west-1", "model": "big"})],
	]
	every repair in repairs {
		decided.rule == repair[0] with input as repair[1]
	}
}
