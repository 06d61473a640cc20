// Who is the odd one of several clusters.
import { describe, expect, it } from 'vitest';
import { type Member, outliers } from '../../src/drift/nway.ts';
import { object } from '../kubernetes/support.ts';

/** A cluster whose policy reads `text`; none without one. `*` marks the baseline. */
function member(name: string, text: string | undefined): Member {
  const own = name.replace('*', '');
  const policy = object({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `policy-site-${own}`, namespace: 'llm' },
    data: { 'a.rego': text ?? '' },
  });
  return {
    name: own,
    baseline: name.endsWith('*'),
    aliases: [[`site-${own}`, '{cluster}']],
    objects: text === undefined ? [] : [policy],
  };
}
const judged = (clusters: Record<string, string | undefined>): string[] =>
  outliers(
    Object.entries(clusters).map(([name, text]) => member(name, text)),
    ['policy'],
  ).map(
    ({ cluster, reference, tie, of, outliers: odd, value, expected }) =>
      `${cluster} unlike ${reference.cluster}${tie ? ' (tie)' : ''} ${odd} of ${of}${value === 'absent' ? ', absent' : ''}${expected === 'absent' ? ', only there' : ''}`,
  );

describe('the odd one', () => {
  it.each<[string, Record<string, string | undefined>, string[]]>([
    ['is nobody where all are equal', { a: 'x', b: 'x', c: 'x' }, []],
    ['is nobody alone', { a: 'x' }, []],
    ['is the minority', { a: 'x', b: 'y', c: 'x' }, ['b unlike a 1 of 3']],
    ['is all of the minority', { a: 'y', b: 'x', c: 'z', d: 'x' }, ['a unlike b 2 of 4', 'c unlike b 2 of 4']],
    [
      'is not known where two stand against two',
      { a: 'x', b: 'y', c: 'y', d: 'x' },
      ['b unlike a (tie) 2 of 4', 'c unlike a (tie) 2 of 4'],
    ],
    ['is not known where all differ', { a: 'x', b: 'y', c: 'z' }, ['b unlike a (tie) 2 of 3', 'c unlike a (tie) 2 of 3']],
    ['is who lacks what the others have', { a: undefined, b: 'x', c: 'x' }, ['a unlike b 1 of 3, absent']],
    ['is who has what the others lack', { a: undefined, b: 'x', c: undefined }, ['b unlike a 1 of 3, only there']],
    ['is who differs from the baseline', { 'a*': 'x', b: 'y' }, ['b unlike a 1 of 2']],
    [
      'is who differs from a baseline that is not the majority',
      { a: 'y', b: 'y', 'c*': 'x', d: 'x', e: 'y' },
      ['a unlike c 3 of 5', 'b unlike c 3 of 5', 'e unlike c 3 of 5'],
    ],
    ['is the baseline where it stands alone against all others', { 'a*': 'x', b: 'y', c: 'y' }, ['a unlike b 1 of 3']],
    [
      'is who differs from a baseline alone where the others differ too',
      { 'a*': 'x', b: 'y', c: 'z' },
      ['b unlike a 2 of 3', 'c unlike a 2 of 3'],
    ],
    ['is the other of two, not the baseline', { b: 'y', 'a*': 'x' }, ['b unlike a 1 of 2']],
  ])('%s', (_title, clusters, expected) => expect(judged(clusters)).toEqual(expected));

  it('is looked for only in what must be equal', () => {
    const clusters = [member('a', 'x'), member('b', 'y')];
    expect(outliers(clusters, ['weights', 'model'])).toEqual([]);
    expect(outliers(clusters, ['policy'])).toHaveLength(1);
  });
  it('is shown with its object and that of the others', () => {
    const [odd] = outliers([member('a', 'x'), member('b', 'x'), member('c', 'y')], ['policy']);
    expect(odd).toMatchObject({
      cluster: 'c',
      aspect: 'policy',
      name: 'ConfigMap/llm/policy-{cluster}',
      object: { name: 'policy-site-c' },
      reference: { cluster: 'a', object: { name: 'policy-site-a' } },
      path: ['data'],
    });
  });
});
