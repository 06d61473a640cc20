# METADATA
# title: Weighted splits
# description: |
#   Shares the traffic of a model between arms, for a canary or an A/B test. splits.<model> = {stick_to, arms: {<name>:
#   {weight, pools}}}: an arm's share is its weight over the sum of weights. The policy says which arms there are and who
#   stays together; the runtime picks the arm by a hash of that key.
package routing.split

import data.routing.capacity

# METADATA
# title: The split of an answer
# description: |
#   Of the model that answers, whether it is the one that was asked for or its stand-in. None when fewer than two arms have
#   a pool among the ranked ones: every arm has passed the checks that the target has passed.
of(ranked) := {"id": model, "key": key(rules.stick_to), "arms": list} if {
	model := data.fleet.pools[ranked[0][2]].model
	rules := data.splits[model]
	list := arms(rules.arms, ranked)
	count(list) > 1
}

else := null

# Within a tenant: names of users are the tenant's own.
key(attribute) := concat("/", [input.request.tenant, object.get(input.request, attribute, "")])

# An arm goes to the best of its pools. In the order of names: that of an object's keys is another one in WASM.
arms(named, ranked) := [arm |
	some name in sort([name | some name, _ in named])
	entry := named[name]
	best := [rank | some rank in ranked; rank[2] in entry.pools][0]
	arm := {"id": name, "weight": entry.weight, "target": capacity.target(best)}
]
