# METADATA
# title: Model lifecycle
# description: |
#   Which models and versions may serve. models.<id> = {versions: {<semver>: stage}, degrade_to?}; limits.servable
#   lists the stages that take traffic.
package routing.lifecycle

# METADATA
# title: Problems with the model that was asked for
# description: A model that no version of takes traffic, because it is retired or has no record.
problems contains "MODEL_NOT_SERVED" if not served

served if {
	some version, _ in data.models[input.request.model].versions
	servable(input.request.model, version)
}

# METADATA
# title: Whether a version of a model takes traffic
servable(model, version) if data.models[model].versions[version] in data.limits.servable
