# METADATA
# title: Tenants get what is theirs
# description: |
#   Nobody is served without a record, for another tenant, outside the tenant's trust zones, or above the tenant's quota. Reads
#   data.tenants and data.fleet.clusters.
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

violation contains "internal or restricted data leaves the tenant's trust zones" if {
	input.input.request.data_class in {"internal", "restricted"}
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	not data.fleet.clusters[target.cluster].trust_zone in tenant.trust_zones
}

violation contains "a request above the tenant's quota is served" if {
	input.decision.allow
	input.input.request.tokens > tenant.quota.tokens_per_request
}
