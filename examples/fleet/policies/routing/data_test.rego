package routing_test

import data.routing

# The data document itself: what the rules take for granted about it.

test_data_limits_are_complete if {
	every name in ["saturation", "queue", "p95_ms", "burn_rate", "budget_left", "fallbacks"] {
		is_number(data.limits[name])
	}
	count(data.limits.servable) > 0
}

test_data_every_cluster_says_where_it_is if {
	count(data.fleet.clusters) > 0
	every cluster in data.fleet.clusters {
		every field in ["region", "jurisdiction", "trust_zone"] {
			is_string(cluster[field])
		}
	}
}

test_data_every_pool_is_in_a_cluster_and_runs_a_known_version if {
	count(data.fleet.pools) > 0
	every pool in data.fleet.pools {
		data.fleet.clusters[pool.cluster]
		data.models[pool.model].versions[pool.version]
		is_number(pool.cost_per_mtok)
	}
}

test_data_every_model_names_its_accelerators if {
	every model in data.models {
		count(model.accelerators) > 0
	}
}

test_data_every_stand_in_is_another_model if {
	every name, model in data.models {
		stand_in := object.get(model, "degrade_to", null)
		stand_in_is_fine(name, stand_in)
	}
}

stand_in_is_fine(_, null)

stand_in_is_fine(name, stand_in) if {
	data.models[stand_in]
	stand_in != name
}

test_data_every_class_has_a_scope if {
	count(data.residency.classes) > 0
	every scope in data.residency.classes {
		scope in {"any", "tenant", "origin"}
	}
}

test_data_every_region_of_a_cluster_has_its_jurisdiction if {
	every cluster in data.fleet.clusters {
		data.residency.regions[cluster.region] == cluster.jurisdiction
	}
}

test_data_every_tenant_is_complete if {
	every tenant in data.tenants {
		every field in ["workloads", "models", "data_classes", "jurisdictions", "trust_zones"] {
			is_array(tenant[field])
		}
		is_number(tenant.quota.tokens_per_request)
		tenant.max_priority in {"low", "normal", "high"}
		is_boolean(tenant.trace)
	}
}

test_data_tenants_name_what_there_is if {
	every tenant in data.tenants {
		every model in tenant.models {
			data.models[model]
		}
		every class in tenant.data_classes {
			data.residency.classes[class]
		}
		every jurisdiction in tenant.jurisdictions {
			jurisdiction in {cluster.jurisdiction | some cluster in data.fleet.clusters}
		}
		every zone in tenant.trust_zones {
			zone in {cluster.trust_zone | some cluster in data.fleet.clusters}
		}
	}
}

test_data_a_workload_belongs_to_one_tenant if {
	workloads := [workload | some workload in data.tenants[_].workloads]
	count(workloads) == count({workload | some workload in workloads})
}

# A pool that takes traffic answers some request of a tenant that bought its model, when it is the only one that is up.
test_data_every_pool_answers_somebody if {
	idle := {id |
		some id, pool in data.fleet.pools
		not data.models[pool.model].versions[pool.version] in data.limits.servable
	}
	object.keys(data.fleet.pools) == idle | answering
}

answering contains target if {
	some id, pool in data.fleet.pools
	some name, tenant in data.tenants
	pool.model in tenant.models
	some class in tenant.data_classes

	# Where the pool is: what it may not answer from there it may answer from nowhere.
	region := data.fleet.clusters[pool.cluster].region
	asked := {
		"request": {
			"id": "r-1",
			"tenant": name,
			"workload_identity": tenant.workloads[0],
			"data_class": class,
			"origin_region": region,
			"model": pool.model,
			"priority": "normal",
			"tokens": 1,
		},
		"fleet": {"pools": [{"id": id, "saturation": 0, "queue": 0, "p95_ms": 1, "warm": true}]},
		"slo": {"burn_rate": 0, "budget_left": 1},
	}
	target := routing.decision.target.pool with input as asked
}

test_data_splits_and_shadows_name_pools_of_their_model if {
	every model, split in data.splits {
		is_string(split.stick_to)
		every entry in split.arms {
			entry.weight >= 0
			every id in entry.pools {
				data.fleet.pools[id].model == model
			}
		}
	}
	every model, shadow in data.shadows {
		shadow.share >= 0
		shadow.share <= 1
		every id in shadow.pools {
			data.fleet.pools[id].model == model
		}
	}
}
