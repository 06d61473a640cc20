# METADATA
# title: What is incomplete is refused
# description: |
#   No request is served that lacks its tenant, workload, data class, origin or size, or comes without the state of the
#   error budget. Reads no data.
package invariants.intake

violation contains "a request without a text that it must carry is served" if {
	input.decision.allow
	some field in ["id", "tenant", "workload_identity", "data_class", "origin_region", "model"]
	not carried(field)
}

carried(field) if is_string(input.input.request[field])

violation contains "a request without a size is served" if {
	input.decision.allow
	not sized
}

sized if input.input.request.tokens > 0

violation contains "a request is served without the state of the error budget" if {
	input.decision.allow
	not measured
}

measured if {
	is_number(input.input.slo.burn_rate)
	is_number(input.input.slo.budget_left)
}
