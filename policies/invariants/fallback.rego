# METADATA
# title: Fallbacks and stand-ins are what was agreed
# description: |
#   A smaller model answers only with leave and only as the data says; target and fallbacks are different pools with one
#   model, and no more than the limit. Reads data.models and data.limits.fallbacks.
package invariants.fallback

violation contains "another model answers without the caller's leave" if {
	input.decision.target.model != input.input.request.model
	not leave
}

leave if input.input.flags.allow_degraded == true

violation contains "another model answers than the one that may stand in" if {
	input.decision.target.model != input.input.request.model
	not stand_in
}

stand_in if data.models[input.input.request.model].degrade_to == input.decision.target.model

violation contains "a fallback has another model than the target" if {
	some target in input.decision.fallbacks
	target.model != input.decision.target.model
}

violation contains "a pool is its own fallback" if {
	some target in input.decision.fallbacks
	target.pool == input.decision.target.pool
}

violation contains "there are more fallbacks than the limit" if {
	count(input.decision.fallbacks) > data.limits.fallbacks
}
