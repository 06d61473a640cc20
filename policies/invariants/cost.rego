# METADATA
# title: Best first
# description: |
#   Target and fallbacks are in order: within the latency target by cost, then the slower ones; by latency while the
#   error budget burns. Reads data.fleet.pools, data.limits.p95_ms and data.limits.burn_rate.
package invariants.cost

# Each target with the one behind it, as {p95, cost}.
steps contains [ahead, next] if {
	input.decision.allow
	count(input.decision.fallbacks) > 0
	chain := array.concat([input.decision.target], input.decision.fallbacks)
	some i, target in chain
	ahead := measured(target.pool)
	next := measured(chain[i + 1].pool)
}

measured(id) := {"p95": state.p95_ms, "cost": data.fleet.pools[id].cost_per_mtok} if {
	some state in input.input.fleet.pools
	state.id == id
}

default burning := false

burning if input.input.slo.burn_rate > data.limits.burn_rate

violation contains "a slower pool comes first while the error budget burns" if {
	burning
	some [ahead, next] in steps
	ahead.p95 > next.p95
}

violation contains "a pool beyond the latency target comes before one within it" if {
	not burning
	some [ahead, next] in steps
	ahead.p95 > data.limits.p95_ms
	next.p95 <= data.limits.p95_ms
}

violation contains "a dearer pool comes before a cheaper one that is quick enough" if {
	not burning
	some [ahead, next] in steps
	ahead.p95 <= data.limits.p95_ms
	next.p95 <= data.limits.p95_ms
	ahead.cost > next.cost
}
