# METADATA
# title: Fallback and degradation
# description: |
#   What answers when the best pool does not, in the order of the decision: the next pools of the same ranking behind
#   the target (limits.fallbacks), a smaller model with the caller's leave (models.<id>.degrade_to), and a place in a
#   queue.
package routing.fallback

import data.routing.capacity

# METADATA
# title: The smaller model that may stand in
# description: Only when the caller said so (flags.allow_degraded); leaving the flag out means no.
stand_in := data.models[input.request.model].degrade_to if input.flags.allow_degraded == true

# METADATA
# title: Pools with the stand-in model, with room, best first
degraded := sort([entry.rank |
	some entry in capacity.candidates
	entry.model == stand_in
	entry.room
])

# METADATA
# title: Pools with the model that was asked for, above the saturation limit, whose queue has room, best first
queued := sort([entry.rank |
	some entry in capacity.candidates
	entry.model == input.request.model
	not entry.room
])

# METADATA
# title: The targets behind the first one
# description: |
#   Everything ranked has passed the same checks, so a fallback never leaves the jurisdictions and trust zones that the
#   target had to be in.
behind(ranked) := [capacity.target(entry) | some entry in array.slice(ranked, 1, 1 + data.limits.fallbacks)]
