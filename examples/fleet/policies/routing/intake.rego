# METADATA
# title: Intake
# description: |
#   What a request must carry before any rule looks at it. A field that is absent or of the wrong type refuses the
#   request: no later rule can be widened by leaving something out. The checks say what is there (`given`), and what is
#   required minus what is given is the problem: `not f(input.x)` is undefined, not true, when input.x is absent.
package routing.intake

# METADATA
# title: Problems of the input
# description: Codes of what is missing or malformed; empty for a complete input.
problems := required - given

required := {
	"REQUEST_ID_MISSING",
	"TENANT_MISSING",
	"WORKLOAD_IDENTITY_MISSING",
	"DATA_CLASS_MISSING",
	"ORIGIN_REGION_MISSING",
	"MODEL_MISSING",
	"PRIORITY_UNKNOWN",
	"TOKENS_MISSING",
	"BURN_RATE_MISSING",
	"ERROR_BUDGET_MISSING",
	"FLEET_STATE_MISSING",
	"FLEET_STATE_AMBIGUOUS",
}

given contains "REQUEST_ID_MISSING" if text(input.request.id)

given contains "TENANT_MISSING" if text(input.request.tenant)

given contains "WORKLOAD_IDENTITY_MISSING" if text(input.request.workload_identity)

given contains "DATA_CLASS_MISSING" if text(input.request.data_class)

given contains "ORIGIN_REGION_MISSING" if text(input.request.origin_region)

given contains "MODEL_MISSING" if text(input.request.model)

given contains "PRIORITY_UNKNOWN" if input.request.priority in {"high", "normal", "low"}

given contains "TOKENS_MISSING" if {
	is_number(input.request.tokens)
	input.request.tokens > 0
}

given contains "BURN_RATE_MISSING" if is_number(input.slo.burn_rate)

given contains "ERROR_BUDGET_MISSING" if is_number(input.slo.budget_left)

given contains "FLEET_STATE_MISSING" if is_array(input.fleet.pools)

# Two states of one pool: it could be full in one of them and have room in the other.
given contains "FLEET_STATE_AMBIGUOUS" if count(named) == count({id | some id in named})

named := [pool.id | some pool in input.fleet.pools]

text(value) if {
	is_string(value)
	value != ""
}
