# METADATA
# title: Data residency and trust zones
# description: |
#   Where a request's data may be processed. residency.classes maps a data class to its scope: `any` (no limit),
#   `tenant` (the tenant's jurisdictions and trust zones) or `origin` (the same, and the jurisdiction that the data
#   comes from). residency.regions maps a region of origin to its jurisdiction. What is not in the data is refused.
package routing.residency

import data.routing.tenancy

scope := data.residency.classes[input.request.data_class]

origin := data.residency.regions[input.request.origin_region]

# METADATA
# title: Problems of residency
problems contains "DATA_CLASS_UNKNOWN" if not scope

problems contains "DATA_CLASS_NOT_ENTITLED" if not class_entitled

problems contains "ORIGIN_UNKNOWN" if not origin

class_entitled if input.request.data_class in tenancy.tenant.data_classes

# METADATA
# title: Whether a cluster may process the request
# description: Clusters are data (fleet.clusters.<id> = {region, jurisdiction, trust_zone}); the input can't say where it is.
permitted(_) if scope == "any"

permitted(cluster) if {
	scope == "tenant"
	at_home(cluster)
}

permitted(cluster) if {
	scope == "origin"
	at_home(cluster)
	cluster.jurisdiction == origin
}

at_home(cluster) if {
	cluster.jurisdiction in tenancy.tenant.jurisdictions
	cluster.trust_zone in tenancy.tenant.trust_zones
}

# METADATA
# title: Whether the request may be traced
# description: Only where the tenant agreed, and never for data that is bound to its origin.
default traceable := false

traceable if {
	tenancy.tenant.trace
	scope != "origin"
}
