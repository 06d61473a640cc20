# METADATA
# title: Arms stay where the answer has to
# description: |
#   Every arm of a split is a pool that the request itself may go to: restricted data in the jurisdiction that it comes from,
#   other than public data in the tenant's trust zones. Reads data.fleet.clusters, data.residency.regions and data.tenants.
package invariants.split

placed(target) := data.fleet.clusters[target.cluster]

violation contains "an arm of restricted data leaves the jurisdiction it comes from" if {
	input.input.request.data_class == "restricted"
	some arm in input.decision.split.arms
	placed(arm.target).jurisdiction != data.residency.regions[input.input.request.origin_region]
}

violation contains "an arm of internal or restricted data leaves the tenant's trust zones" if {
	input.input.request.data_class in {"internal", "restricted"}
	some arm in input.decision.split.arms
	not placed(arm.target).trust_zone in data.tenants[input.input.request.tenant].trust_zones
}

violation contains "a split has a single arm" if count(input.decision.split.arms) < 2

violation contains "the arms of a split run several models" if {
	count({arm.target.model | some arm in input.decision.split.arms}) > 1
}
