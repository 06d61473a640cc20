import { describe, expect, it } from 'vitest';
import { regoDigest } from '../../src/kubernetes/rego.ts';

const POLICY = `package routing

# who may go where
default allow := false

allow if {
	input.tenant == "a  b"
	some pool in data.pools
	pool.region == input.region
}
`;

describe('regoDigest', () => {
  it.each([
    ['white space', POLICY.replaceAll('\t', '    ').replaceAll('\n\n', '\n\n\n')],
    ['comments', POLICY.replace('# who may go where', '# something else')],
    ['spaces around operators', POLICY.replace('allow := false', 'allow:=false').replace(' == input', '==input')],
    ['statements on one line', POLICY.replace('"a  b"\n\tsome', '"a  b"; some')],
    ['Windows line ends', POLICY.replaceAll('\n', '\r\n')],
  ])('is blind to %s', (_what, other) => {
    expect(regoDigest(other)).toBe(regoDigest(POLICY));
  });

  it.each([
    ['white space in a string', POLICY.replace('"a  b"', '"a b"')],
    ['a # inside a string', POLICY.replace('"a  b"', '"a  b#"')],
    ['an operator', POLICY.replace('== "a', '!= "a')],
    ['a default', POLICY.replace('false', 'true')],
    ['a removed condition', POLICY.replace('\tpool.region == input.region\n', '')],
    ['an order of conditions', POLICY.replace('default allow := false', 'default allow := false\n\nx := 1')],
  ])('sees %s', (_what, other) => {
    expect(regoDigest(other)).not.toBe(regoDigest(POLICY));
  });
});
