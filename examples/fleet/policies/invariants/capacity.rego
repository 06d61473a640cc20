# METADATA
# title: Only pools with capacity serve
# description: |
#   A pool that is cold, whose queue is full, or that is above the saturation limit is not where a primary or degraded answer
#   goes; a queued one goes to a pool with room in its queue. Reads data.limits.saturation and data.limits.queue.
package invariants.capacity

state := [pool | some pool in input.input.fleet.pools; pool.id == input.decision.target.pool] if input.decision.allow

violation contains "a pool above the saturation limit is the target of an answer that is not queued" if {
	input.decision.rule in {"primary", "degraded"}
	some pool in state
	pool.saturation >= data.limits.saturation
}

violation contains "a pool with a full queue is the target" if {
	some pool in state
	pool.queue >= data.limits.queue
}

violation contains "a cold pool is the target" if {
	some pool in state
	pool.warm != true
}
