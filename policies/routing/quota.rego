# METADATA
# title: Quotas
# description: |
#   How much a tenant may ask for: tenants.<id>.quota = {tokens_per_request, tokens_per_minute, max_concurrency}. The
#   size of a request is decided here; what needs a count over time goes out with the decision, the policy keeps no state.
package routing.quota

import data.routing.tenancy

# METADATA
# title: Problems with the size of the request
problems contains "QUOTA_EXCEEDED" if {
	tenancy.tenant
	not within
}

# A rule of its own, so that a record without the number refuses instead of letting pass.
within if input.request.tokens <= tenancy.tenant.quota.tokens_per_request

# METADATA
# title: The quota that goes out with an answer
granted := tenancy.tenant.quota
