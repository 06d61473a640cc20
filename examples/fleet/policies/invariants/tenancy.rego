# METADATA
# title: Tenants get what is theirs
# description: |
#   Nobody is served without a record, for another tenant, with a model or a priority that was not bought, or outside the
#   tenant's trust zones. Reads data.tenants, data.fleet.clusters and data.residency.classes.
package invariants.tenancy

tenant := data.tenants[input.input.request.tenant]

violation contains "an unknown tenant is served" if {
	input.decision.allow
	not tenant
}

violation contains "a workload speaks for a tenant it does not belong to" if {
	input.decision.allow
	not own_workload
}

own_workload if input.input.request.workload_identity in tenant.workloads

violation contains "a model that the tenant did not buy is served" if {
	input.decision.allow
	not own_model
}

own_model if input.input.request.model in tenant.models

violation contains "internal or restricted data leaves the tenant's trust zones" if {
	input.input.request.data_class in {"internal", "restricted"}
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not data.fleet.clusters[target.cluster].trust_zone in tenant.trust_zones
}

violation contains "data of a class with a scope leaves the tenant's jurisdictions" if {
	data.residency.classes[input.input.request.data_class] != "any"
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not data.fleet.clusters[target.cluster].jurisdiction in tenant.jurisdictions
}

violation contains "a tenant of the lowest priority gets a higher one" if {
	tenant.max_priority == "low"
	input.decision.priority != "low"
}
