# METADATA
# title: Routing decision
# description: |
#   Which pool may serve a request. One chain of else decides: the first line that holds wins, so the order of the
#   lines is the precedence. Refusals come first (fail closed), then the normal answer, then the degraded ones.
#   All numbers and names come from data: fleet, tenants, models, residency, limits.
# custom:
#   decision: "{allow, target, fallbacks, split, shadow, priority, quota, trace, rule, reasons}"
package routing

import data.routing.capacity
import data.routing.fallback
import data.routing.intake
import data.routing.lifecycle
import data.routing.quota
import data.routing.residency
import data.routing.shadow
import data.routing.slo
import data.routing.split
import data.routing.tenancy

# METADATA
# title: The decision
# description: Always defined. `rule` names the line that decided, `reasons` are stable codes.
decision := refused("intake", intake.problems) if count(intake.problems) > 0

else := refused("tenancy", contract) if count(contract) > 0

else := refused("residency", residency.problems) if count(residency.problems) > 0

else := refused("lifecycle", lifecycle.problems) if count(lifecycle.problems) > 0

else := refused("shed", slo.shed) if count(slo.shed) > 0

else := served("primary", capacity.primary, []) if count(capacity.primary) > 0

else := served("degraded", fallback.degraded, ["DEGRADED_MODEL"]) if count(fallback.degraded) > 0

else := served("queued", fallback.queued, ["QUEUED"]) if count(fallback.queued) > 0

else := refused("capacity", {"NO_CAPACITY"})

# What the tenant's contract does not give, named together.
contract := tenancy.problems | quota.problems

# A refusal: no target, no trace, nothing to fall back to.
refused(rule, reasons) := {
	"allow": false,
	"target": null,
	"fallbacks": [],
	"priority": "low",
	"quota": null,
	"trace": false,
	"rule": rule,
	"reasons": sort(reasons),
}

# An answer: the best ranked pool, and the next ones as fallbacks.
served(rule, ranked, reasons) := {
	"allow": true,
	"target": capacity.target(ranked[0]),
	"fallbacks": fallback.behind(ranked),
	"split": split.of(ranked),
	"shadow": shadow.of(ranked),
	"priority": tenancy.priority,
	"quota": quota.granted,
	"trace": residency.traceable,
	"rule": rule,
	"reasons": reasons,
}
