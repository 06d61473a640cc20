# METADATA
# title: Copies stay where the answer has to
# description: |
#   A copy of a request goes where the request itself may: restricted data stays in the jurisdiction that it comes from, other
#   than public data in the tenant's trust zones. Nothing is copied for a tenant that did not agree. Reads data.fleet.clusters,
#   data.residency.regions and data.tenants.
package invariants.shadow

tenant := data.tenants[input.input.request.tenant]

place := data.fleet.clusters[input.decision.shadow.target.cluster]

violation contains "a copy of restricted data leaves the jurisdiction it comes from" if {
	input.input.request.data_class == "restricted"
	place.jurisdiction != data.residency.regions[input.input.request.origin_region]
}

violation contains "a copy of internal or restricted data leaves the tenant's trust zones" if {
	input.input.request.data_class in {"internal", "restricted"}
	zone := place.trust_zone
	not zone in tenant.trust_zones
}

violation contains "a request is copied for a tenant that did not agree" if {
	input.decision.shadow.target
	not tenant.shadow
}

violation contains "a copy goes to the pool that answers" if {
	input.decision.shadow.target.pool == input.decision.target.pool
}
