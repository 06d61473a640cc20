# METADATA
# title: Cost after latency
# description: |
#   The order of pools that may answer, best first, as a sort key. Prices are data
#   (fleet.pools.<id>.cost_per_mtok), latency is what the input measured; limits.p95_ms is the target.
package routing.cost

import data.routing.slo

# METADATA
# title: Sort key of a pool
# description: Latency before cost while the budget burns; otherwise pools within the latency target by cost, then the others.
rank(state, pool) := [state.p95_ms, pool.cost_per_mtok, state.id] if slo.burning

else := [0, pool.cost_per_mtok, state.id] if state.p95_ms <= data.limits.p95_ms

else := [1, state.p95_ms, state.id]
