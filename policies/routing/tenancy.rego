# METADATA
# title: Tenancy
# description: |
#   Who asks, whether the workload may speak for the tenant, and what the tenant has bought. Tenants are data:
#   tenants.<id> = {workloads, models, data_classes, jurisdictions, trust_zones, quota, max_priority, trace}.
package routing.tenancy

# METADATA
# title: The tenant's record
tenant := data.tenants[input.request.tenant]

# METADATA
# title: Problems with tenant, workload or model entitlement
problems contains "TENANT_UNKNOWN" if not tenant

problems contains "WORKLOAD_NOT_OF_TENANT" if {
	tenant
	not workload_known
}

problems contains "MODEL_NOT_ENTITLED" if {
	tenant
	not model_entitled
}

# Each is a rule of its own, so that a record without the list refuses instead of letting pass.
workload_known if input.request.workload_identity in tenant.workloads

model_entitled if input.request.model in tenant.models

# METADATA
# title: Priority that the tenant gets
# description: What was asked for, but never above what the tenant has bought.
priority := input.request.priority if rank[input.request.priority] <= rank[tenant.max_priority]

else := tenant.max_priority

rank := {"low": 0, "normal": 1, "high": 2}
