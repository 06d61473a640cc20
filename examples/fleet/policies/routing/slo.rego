# METADATA
# title: Service level awareness
# description: |
#   Reacts to the error budget: when it burns faster than limits.burn_rate, latency outranks cost; when it is spent,
#   low priority requests are shed.
package routing.slo

import data.routing.tenancy

# METADATA
# title: Whether the budget burns too fast
default burning := false

burning if input.slo.burn_rate > data.limits.burn_rate

# METADATA
# title: Reasons to shed this request
shed contains "ERROR_BUDGET_SPENT" if {
	input.slo.budget_left <= data.limits.budget_left
	tenancy.priority == "low"
}
