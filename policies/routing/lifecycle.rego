# METADATA
# title: Model lifecycle
# description: |
#   Which models and versions may serve. models.<id> = {versions: {<semver>: stage}, degrade_to?}; limits.servable
#   lists the stages that take traffic.
package routing.lifecycle

# METADATA
# title: Problems with the model that was asked for
problems contains "MODEL_UNKNOWN" if not known

known if data.models[input.request.model]

# METADATA
# title: Whether a version of a model takes traffic
servable(model, version) if data.models[model].versions[version] in data.limits.servable

# METADATA
# title: The smaller model that may stand in
# description: Only when the caller said so (flags.allow_degraded); leaving the flag out means no.
stand_in := data.models[input.request.model].degrade_to if input.flags.allow_degraded == true
