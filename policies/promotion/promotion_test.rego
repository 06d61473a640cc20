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

decide(value) := decision if {
	decision := promotion.decision with input as value with data.promotion.allow_warn as settings.allow_warn with data.promotion.max_age_seconds as settings.max_age_seconds with data.promotion.sources as settings.sources
}

test_all_required_gates_passed if decide(ready) == {"allow": true, "reasons": []}

test_gates_may_come_from_several_documents if {
	halves := [document("pass", {"policy": "pass"}, "2026-03-01T11:00:00Z"), document("pass", {"canary": "pass"}, "2026-03-01T11:30:00.250Z")]
	decide(object.union(ready, {"evidence": halves})).allow
}

from(command, gates) := object.union(document("pass", gates, "2026-03-01T11:00:00Z"), {"predicate": {"command": command}})

test_a_gate_that_two_commands_report_counts_from_the_named_one if {
	wants := object.union(ready, {"environment": {"name": "production", "requires": ["policy", "slo"]}})
	linted := from("mixgate check", {"policy": "pass", "slo": "pass"})
	decide(object.union(wants, {"evidence": [linted]})).reasons == ["GATE_MISSING:slo"]
	decide(object.union(wants, {"evidence": [linted, from("mixgate slo gate", {"slo": "pass"})]})).allow
}

test_missing_gate if {
	decide(object.union(ready, {"evidence": [document("pass", {"policy": "pass"}, "2026-03-01T11:00:00Z")]})).reasons == ["GATE_MISSING:canary"]
}

test_no_evidence if decide(object.union(ready, {"evidence": []})).reasons == ["GATE_MISSING:canary", "GATE_MISSING:policy", "NO_EVIDENCE_FOR_COMMIT"]

test_evidence_for_another_commit_does_not_count if {
	decision := decide(object.union(ready, {"commit": other, "base": commit}))
	decision.allow == false
	"NO_EVIDENCE_FOR_COMMIT" in decision.reasons
}

test_old_evidence_does_not_count if {
	decide(object.union(ready, {"now": "2026-03-02T11:00:01Z"})).reasons == ["GATE_MISSING:canary", "GATE_MISSING:policy"]
}

test_evidence_of_exactly_the_limit_counts if decide(object.union(ready, {"now": "2026-03-02T11:00:00Z"})).allow

test_evidence_from_the_future_does_not_count if {
	decide(object.union(ready, {"now": "2026-03-01T10:59:59Z"})).allow == false
}

test_warn_is_allowed_by_the_setting if {
	decide(object.union(ready, {"evidence": [document("warn", {"policy": "warn", "canary": "pass"}, "2026-03-01T11:00:00Z")]})).allow
}

test_warn_is_refused_without_the_setting if {
	value := object.union(ready, {"evidence": [document("warn", {"policy": "warn", "canary": "pass"}, "2026-03-01T11:00:00Z")]})
	decision := promotion.decision with input as value with data.promotion.allow_warn as false with data.promotion.max_age_seconds as 86400 with data.promotion.sources as {}
	decision.reasons == ["GATE_NOT_PASSED:policy"]
}

test_failed_gate_refuses_whatever_its_age if {
	every verdict in ["fail", "error", "inconclusive"] {
		bad := document(verdict, {"slo": verdict}, "2025-01-01T00:00:00Z")
		decide(object.union(ready, {"evidence": [good, bad]})).reasons == ["EVIDENCE_FAILED", "GATE_FAILED:slo"]
	}
}

test_unknown_verdict_refuses if {
	decide(object.union(ready, {"evidence": [document("great", {"policy": "pass", "canary": "pass"}, "2026-03-01T11:00:00Z")]})).reasons == ["EVIDENCE_VERDICT_UNKNOWN"]
}

test_absent_verdict_refuses if {
	unsaid := {"predicateType": good.predicateType, "subject": good.subject, "predicate": object.remove(good.predicate, ["verdict"])}
	decide(object.union(ready, {"evidence": [unsaid]})).reasons == ["EVIDENCE_VERDICT_UNKNOWN"]
}

test_empty_input_names_everything if {
	decision := decide({})
	decision.allow == false
	every code in ["COMMIT_MISSING", "ENVIRONMENT_MISSING", "EVIDENCE_MISSING", "NOW_MISSING", "REQUIREMENTS_MISSING"] {
		code in decision.reasons
	}
}

test_environment_without_requirements_is_refused if {
	decide(object.union(ready, {"environment": {"name": "production", "requires": []}})).reasons != []
}

test_short_commit_is_refused if "COMMIT_MISSING" in decide(object.union(ready, {"commit": "1111111"})).reasons

test_seconds_agree_with_the_calendar if {
	every instant in ["1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2000-02-29T12:30:15Z", "2026-03-01T00:00:00Z", "2026-11-22T03:04:05.678Z", "2100-03-01T00:00:00Z"] {
		promotion.seconds(instant) == floor(time.parse_rfc3339_ns(instant) / 1000000000)
	}
}
