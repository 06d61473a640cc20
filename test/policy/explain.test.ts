import { describe, expect, test } from 'vitest';
import type { Json } from '../../src/core/json.ts';
import { evaluatePolicy } from '../../src/policy/operations.ts';
import { domainDocument, policy, testBench } from './support.ts';

const bench = await testBench();
const REGO = `package p

import input.request as r

default decision := {"allow": false}

decision := {"allow": true, "via": "vip"} if {
	some name in data.vips
	name == r.tenant
	r.tokens < data.limit
} else := {"allow": true, "via": "open"} if r.class == "public"

else := {"allow": false, "via": "last"} if unknown

unknown if not input.flag
`;
interface Facts {
  readonly notHeld: readonly {
    readonly line: number;
    readonly failed?: { readonly text: string; readonly line: number };
    readonly outrankedBy?: { readonly line: number };
    readonly reads: readonly Json[];
  }[];
  readonly absent: readonly string[];
  readonly counterfactual?: { readonly flips: readonly { readonly changes: readonly Json[] }[]; readonly looked: number };
}
async function explain(input: Json, domain?: unknown): Promise<Facts> {
  const document = domain === undefined ? undefined : domainDocument(domain);
  const source = await policy(REGO, { vips: ['a', 'b'], limit: 10 });
  const gate = await evaluatePolicy(bench, source, 'p/decision', input, { document });
  expect(gate.findings).toEqual([]);
  return gate.facts as unknown as Facts;
}
const refused = { request: { tenant: 'a', tokens: 12, class: 'secret' }, flag: true };

describe('explain', () => {
  test('names the first expression that failed, its line and what it read', async () => {
    const facts = await explain(refused);
    expect(facts.notHeld.map((u) => [u.line, u.failed?.text, u.failed?.line])).toEqual([
      [7, 'r.tokens < data.limit', 10],
      [11, 'r.class == "public"', 11],
      [13, 'unknown', 13],
      [15, 'not input.flag', 15],
    ]);
    expect(facts.notHeld[0]!.reads).toEqual([
      { path: 'input.request.tokens', value: 12 },
      { path: 'data.limit', value: 10 },
    ]);
  });
  test('a failing join is blamed, not the generator before it', async () => {
    const facts = await explain({ ...refused, request: { ...refused.request, tenant: 'z' } });
    expect(facts.notHeld[0]!.failed).toMatchObject({ text: 'name == r.tenant', line: 9 });
  });
  test('a link after the one that decided says so', async () => {
    const facts = await explain({ request: { tenant: 'z', tokens: 1, class: 'public' } });
    expect(facts.notHeld.map((u) => [u.line, u.outrankedBy?.line, u.failed === undefined])).toEqual([
      [7, undefined, false],
      [13, 11, true],
      [15, undefined, true],
    ]);
    expect(facts.absent).toEqual(['flag']);
  });
  test('the smallest change that flips the decision: one field, else two', async () => {
    const base = { request: { tenant: 'a', tokens: 1, class: 'public' } };
    const one = await explain(refused, { base, vary: { 'request.tokens': [9, 10], 'request.class': ['secret'] } });
    expect(one.counterfactual?.flips.map((f) => f.changes)).toEqual([[{ path: 'request.tokens', from: 12, to: 9 }]]);
    const two = await explain(
      { ...refused, request: { ...refused.request, tenant: 'z' } },
      { base, vary: { 'request.tenant': ['b'], 'request.tokens': [9, 10] } },
    );
    expect(two.counterfactual?.flips.map((f) => f.changes)).toEqual([
      [
        { path: 'request.tenant', from: 'z', to: 'b' },
        { path: 'request.tokens', from: 12, to: 9 },
      ],
    ]);
    const none = await explain(refused, { base, vary: { 'request.tokens': [10, 11] } });
    expect(none.counterfactual).toMatchObject({ flips: [], looked: 2 });
  });
});
