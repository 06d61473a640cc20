package promotion_test

import data.promotion

commit := "1111111111111111111111111111111111111111"

other := "2222222222222222222222222222222222222222"

document(verdict, gates, created) := {
	"predicateType": "https://mixgate.dev/evidence/v1",
	"subject": [{"name": "commit", "digest": {"gitCommit": commit}}],
	"predicate": {"verdict": verdict, "commit": commit, "created": created, "gates": [{"id": id, "verdict": v, "reason": "r"} | some id, v in gates]},
}

good := document("pass", {"policy": "pass", "canary": "pass"}, "2026-03-01T11:00:00Z")

ready := {
	"environment": {"name": "production", "requires": ["policy", "canary"]},
	"commit": commit,
	"base": other,
	"now": "2026-03-01T12:00:00Z",
	"evidence": [good],
}

settings := {"allow_warn": true, "max_age_seconds": 86400, "sources": {"slo": "mixgate slo gate"}}

# A rule, not a function: `opa build -t wasm` of a folder with tests takes every rule that leads to the entrypoint for one, and
# refuses functions.
decided := decision if {
	decision := promotion.decision with data.promotion.allow_warn as settings.allow_warn
		with data.promotion.max_age_seconds as settings.max_age_seconds
		with data.promotion.sources as settings.sources
}

test_all_required_gates_passed if decided == {"allow": true, "reasons": []} with input as ready

test_gates_may_come_from_several_documents if {
	halves := [document("pass", {"policy": "pass"}, "2026-03-01T11:00:00Z"), document("pass", {"canary": "pass"}, "2026-03-01T11:30:00.250Z")]
	decided.allow with input as object.union(ready, {"evidence": halves})
}

from(command, gates) := object.union(document("pass", gates, "2026-03-01T11:00:00Z"), {"predicate": {"command": command}})

test_a_gate_that_two_commands_report_counts_from_the_named_one if {
	wants := object.union(ready, {"environment": {"name": "production", "requires": ["policy", "slo"]}})
	linted := from("mixgate check", {"policy": "pass", "slo": "pass"})
	decided.reasons == ["GATE_MISSING:slo"] with input as object.union(wants, {"evidence": [linted]})
	decided.allow with input as object.union(wants, {"evidence": [linted, from("mixgate slo gate", {"slo": "pass"})]})
}

test_missing_gate if {
	decided.reasons == ["GATE_MISSING:canary"] with input as object.union(ready, {"evidence": [document("pass", {"policy": "pass"}, "2026-03-01T11:00:00Z")]})
}

test_no_evidence if decided.reasons == ["GATE_MISSING:canary", "GATE_MISSING:policy", "NO_EVIDENCE_FOR_COMMIT"] with input as object.union(ready, {"evidence": []})

test_evidence_for_another_commit_does_not_count if {
	decision := decided with input as object.union(ready, {"commit": other, "base": commit})
	decision.allow == false
	"NO_EVIDENCE_FOR_COMMIT" in decision.reasons
}

test_old_evidence_does_not_count if {
	decided.reasons == ["GATE_MISSING:canary", "GATE_MISSING:policy"] with input as object.union(ready, {"now": "2026-03-02T11:00:01Z"})
}

test_evidence_of_exactly_the_limit_counts if decided.allow with input as object.union(ready, {"now": "2026-03-02T11:00:00Z"})

test_evidence_from_the_future_does_not_count if {
	decided.allow == false with input as object.union(ready, {"now": "2026-03-01T10:59:59Z"})
}

test_warn_is_allowed_by_the_setting if {
	decided.allow with input as object.union(ready, {"evidence": [document("warn", {"policy": "warn", "canary": "pass"}, "2026-03-01T11:00:00Z")]})
}

test_warn_is_refused_without_the_setting if {
	value := object.union(ready, {"evidence": [document("warn", {"policy": "warn", "canary": "pass"}, "2026-03-01T11:00:00Z")]})
	decision := promotion.decision with input as value with data.promotion.allow_warn as false with data.promotion.max_age_seconds as 86400 with data.promotion.sources as {}
	decision.reasons == ["GATE_NOT_PASSED:policy"]
}

test_failed_gate_refuses_whatever_its_age if {
	every verdict in ["fail", "error", "inconclusive"] {
		bad := document(verdict, {"slo": verdict}, "2025-01-01T00:00:00Z")
		decided.reasons == ["EVIDENCE_FAILED", "GATE_FAILED:slo"] with input as object.union(ready, {"evidence": [good, bad]})
	}
}

test_unknown_verdict_refuses if {
	decided.reasons == ["EVIDENCE_VERDICT_UNKNOWN"] with input as object.union(ready, {"evidence": [document("great", {"policy": "pass", "canary": "pass"}, "2026-03-01T11:00:00Z")]})
}

test_absent_verdict_refuses if {
	unsaid := {"predicateType": good.predicateType, "subject": good.subject, "predicate": object.remove(good.predicate, ["verdict"])}
	decided.reasons == ["EVIDENCE_VERDICT_UNKNOWN"] with input as object.union(ready, {"evidence": [unsaid]})
}

test_empty_input_names_everything if {
	decision := decided with input as {}
	decision.allow == false
	every code in ["COMMIT_MISSING", "ENVIRONMENT_MISSING", "EVIDENCE_MISSING", "NOW_MISSING", "REQUIREMENTS_MISSING"] {
		code in decision.reasons
	}
}

test_environment_without_requirements_is_refused if {
	decided.reasons != [] with input as object.union(ready, {"environment": {"name": "production", "requires": []}})
}

test_one_requirement_is_enough if {
	decided.allow with input as object.union(ready, {"environment": {"name": "staging", "requires": ["policy"]}})
}

test_environment_needs_a_name if {
	every name in ["", null, 1] {
		decided.reasons == ["ENVIRONMENT_MISSING"] with input as object.union(ready, {"environment": {"name": name}})
	}
}

test_short_commit_is_refused if "COMMIT_MISSING" in decided.reasons with input as object.union(ready, {"commit": "1111111"})

test_seconds_agree_with_the_calendar if {
	every instant in ["1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2000-02-29T12:30:15Z", "2026-03-01T00:00:00Z", "2026-11-22T03:04:05.678Z", "2100-03-01T00:00:00Z"] {
		promotion.seconds(instant) == floor(time.parse_rfc3339_ns(instant) / 1000000000)
	}
}
