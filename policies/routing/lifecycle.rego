# METADATA
# title: Model lifecycle
# description: |
#   Which models and versions may serve, and on what. models.<id> = {versions: {<semver>: stage}, accelerators,
#   degrade_to?}; limits.servable lists the stages that take traffic.
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

# METADATA
# title: Whether a model may run on a kind of accelerator
# description: One that names none runs nowhere; a large model on a pool of CPUs answers, but too late for anybody.
runs_on(model, accelerator) if accelerator in data.models[model].accelerators
