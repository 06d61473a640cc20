# METADATA
# title: Shadow traffic
# description: |
#   Which pool gets a copy of the request, to see how it does under real load. shadows.<model> = {pools, share}. A copy is
#   processing like any other: its pool must be one that may answer this request, and the tenant must have agreed.
package routing.shadow

import data.routing.capacity
import data.routing.tenancy

# METADATA
# title: The copy of an answer
# description: To the best ranked shadow pool of the model that answers, other than the target; none without room there.
of(ranked) := {"target": capacity.target(best), "share": rules.share} if {
	tenancy.tenant.shadow
	target := ranked[0][2]
	rules := data.shadows[data.fleet.pools[target].model]
	best := sort([entry.rank |
		some entry in capacity.candidates
		entry.room
		entry.rank[2] in rules.pools
		entry.rank[2] != target
	])[0]
}

else := null
