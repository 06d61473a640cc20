# METADATA
# title: Capacity and ranking
# description: |
#   Pools that may serve, best first. Topology is data (fleet.pools.<id> = {cluster, accelerator, model, version,
#   cost_per_mtok}); the input carries only live state {id, saturation, queue, p95_ms, warm}. A pool whose state is
#   incomplete does not take part.
package routing.capacity

import data.routing.lifecycle
import data.routing.residency
import data.routing.slo

# METADATA
# title: Pools with the model that was asked for, with room
primary := sort([entry.rank |
	some entry in candidates
	entry.model == input.request.model
	entry.room
])

# METADATA
# title: Pools with the stand-in model, with room
degraded := sort([entry.rank |
	some entry in candidates
	entry.model == lifecycle.stand_in
	entry.room
])

# METADATA
# title: Pools with the model that was asked for, above the saturation limit, whose queue has room
queued := sort([entry.rank |
	some entry in candidates
	entry.model == input.request.model
	not entry.room
])

# METADATA
# title: Pools that may serve this request at all
candidates contains {"model": pool.model, "room": room(state), "rank": rank(state, pool)} if {
	some state in input.fleet.pools
	pool := data.fleet.pools[state.id]
	residency.permitted(data.fleet.clusters[pool.cluster])
	lifecycle.servable(pool.model, pool.version)
	is_number(state.saturation)
	is_number(state.p95_ms)
	is_number(state.queue)
	state.queue < data.limits.queue
	state.warm == true
}

default room(_) := false

room(state) if state.saturation < data.limits.saturation

# METADATA
# title: Sort key of a pool
# description: Latency before cost while the budget burns; otherwise pools within the latency target by cost, then the others.
rank(state, pool) := [state.p95_ms, pool.cost_per_mtok, state.id] if slo.burning

else := [0, pool.cost_per_mtok, state.id] if state.p95_ms <= data.limits.p95_ms

else := [1, state.p95_ms, state.id]

# METADATA
# title: The target that a sort key stands for
target(rank) := {"cluster": pool.cluster, "pool": id, "model": pool.model, "version": pool.version} if {
	id := rank[2]
	pool := data.fleet.pools[id]
}
