# METADATA
# title: Quotas hold
# description: |
#   Nobody is served above the tenant's quota, and the quota that goes out with an answer is the tenant's own. Reads
#   data.tenants.
package invariants.quota

quota := data.tenants[input.input.request.tenant].quota

violation contains "a request above the tenant's quota is served" if {
	input.decision.allow
	input.input.request.tokens > quota.tokens_per_request
}

violation contains "an answer carries another quota than the tenant's" if {
	input.decision.allow
	not own
}

own if input.decision.quota == quota
