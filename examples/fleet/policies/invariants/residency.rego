# METADATA
# title: Data stays where it has to
# description: |
#   Restricted data is served, and falls back, only in the jurisdiction that it comes from, and so is every class that the data
#   binds to its origin; other than public data stays in one trust zone; what comes from an unknown region is refused. The
#   names restricted, internal and public are written here, so that an edit of the data can't quietly free them. Reads
#   data.fleet.clusters and data.residency.
package invariants.residency

import data.residency.regions

home := regions[input.input.request.origin_region]

placed(target) := data.fleet.clusters[target.cluster]

violation contains "restricted data with origin EU is served outside the EU" if {
	input.input.request.data_class == "restricted"
	home == "EU"
	placed(input.decision.target).jurisdiction != "EU"
}

violation contains "restricted data leaves the jurisdiction it comes from" if {
	input.input.request.data_class == "restricted"
	placed(input.decision.target).jurisdiction != home
}

violation contains "data of a class that is bound to its origin leaves the jurisdiction it comes from" if {
	data.residency.classes[input.input.request.data_class] == "origin"
	some target in array.concat([input.decision.target], input.decision.fallbacks)
	placed(target).jurisdiction != home
}

violation contains "a fallback of restricted data leaves the jurisdiction it comes from" if {
	input.input.request.data_class == "restricted"
	some target in input.decision.fallbacks
	placed(target).jurisdiction != home
}

violation contains "a fallback is in another trust zone than the target" if {
	input.input.request.data_class != "public"
	some target in input.decision.fallbacks
	placed(target).trust_zone != placed(input.decision.target).trust_zone
}

violation contains "a request from an unknown region is served" if {
	input.decision.allow
	not home
}

violation contains "restricted data is traced" if {
	input.input.request.data_class == "restricted"
	input.decision.trace
}
