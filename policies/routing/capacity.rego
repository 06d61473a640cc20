# METADATA
# title: Capacity
# description: |
#   Pools that may serve. Topology is data (fleet.pools.<id> = {cluster, accelerator, model, version, cost_per_mtok});
#   the input carries only live state {id, saturation, queue, p95_ms, warm}. A pool whose state is incomplete does not
#   take part.
package routing.capacity

import data.routing.cost
import data.routing.lifecycle
import data.routing.residency

# METADATA
# title: Pools with the model that was asked for, with room, best first
primary := sort([entry.rank |
	some entry in candidates
	entry.model == input.request.model
	entry.room
])

# METADATA
# title: Pools that may serve this request at all
candidates contains {"model": pool.model, "room": room(state), "rank": cost.rank(state, pool)} if {
	some state in input.fleet.pools
	pool := data.fleet.pools[state.id]
	residency.permitted(data.fleet.clusters[pool.cluster])
	lifecycle.servable(pool.model, pool.version)
	lifecycle.runs_on(pool.model, pool.accelerator)
	is_number(state.saturation)
	is_number(state.p95_ms)
	is_number(state.queue)
	state.queue < data.limits.queue
	state.warm == true
}

default room(_) := false

room(state) if state.saturation < data.limits.saturation

# METADATA
# title: The target that a sort key stands for
target(rank) := {"cluster": pool.cluster, "pool": id, "model": pool.model, "version": pool.version} if {
	id := rank[2]
	pool := data.fleet.pools[id]
}
