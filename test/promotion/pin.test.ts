import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VERDICTS } from '../../src/core/verdict.ts';
import { type HistoryEntry, lastGood } from '../../src/promotion/history.ts';
import { editPin, newPin, parsePin } from '../../src/promotion/pin.ts';
import { formatTrailers, parseTrailers } from '../../src/promotion/trailers.ts';

const [A, B] = ['a'.repeat(40), 'b'.repeat(40)];

describe('editPin', () => {
  it.each([
    [
      'null with comments',
      '# top\nenvironment: p\nrevision: null # why\n# end\n',
      `# top\nenvironment: p\nrevision: ${A} # why\n# end\n`,
    ],
    ['an empty value', 'environment: p\nrevision:\n', `environment: p\nrevision: ${A}\n`],
    ['a quoted revision', `environment: p\nrevision: "${B}"\n`, `environment: p\nrevision: ${A}\n`],
    ['flow style', `{environment: p, revision: ${B}}\n`, `{environment: p, revision: ${A}}\n`],
    ['Windows line ends', `environment: p\r\nrevision: ${B}\r\n`, `environment: p\r\nrevision: ${A}\r\n`],
  ])('changes %s and nothing else', (_title, before, after) => {
    expect(editPin(before, { revision: A })).toBe(after);
  });
  it('adds to quarantine and takes off it again', () => {
    const barred = editPin(newPin('p'), {
      revision: A,
      quarantine: { revision: B, reason: 'slow: "very"', since: '2026-01-01T00:00:00Z' },
    });
    expect(parsePin(barred, 'p.yaml', 'p')).toEqual({
      environment: 'p',
      revision: A,
      quarantine: [{ revision: B, reason: 'slow: "very"', since: '2026-01-01T00:00:00Z' }],
    });
    const free = editPin(barred, { revision: B, release: B });
    expect(parsePin(free, 'p.yaml', 'p')).toEqual({ environment: 'p', revision: B });
    expect(free).toContain('comments stay');
  });
  it('keeps any reason as one value', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (reason) => {
        const pin = parsePin(
          editPin(newPin('p'), { revision: A, quarantine: { revision: B, reason, since: '2026-01-01T00:00:00Z' } }),
          'p.yaml',
          'p',
        );
        return pin.quarantine?.[0]?.reason === reason && pin.revision === A;
      }),
    );
  });
});

describe('trailers', () => {
  const trailers = { environment: 'p', promotedFrom: A, verdict: 'pass', evidence: `sha256:${'0'.repeat(64)}` } as const;
  it('round-trip', () => {
    expect(parseTrailers(formatTrailers(trailers))).toEqual(trailers);
    expect(parseTrailers(formatTrailers({ ...trailers, rollbackOf: B }))).toEqual({ ...trailers, rollbackOf: B });
  });
  it('are read among others, whatever the line ends', () => {
    const text = `Signed-off-by: A <a@example.org>\r\n${formatTrailers(trailers).replaceAll('\n', '  \r\n')}\r\n\r\nChange-Id: 1`;
    expect(parseTrailers(text)).toStrictEqual(trailers);
  });
  it.each([
    ['an abbreviated revision', (text: string) => text.replace(A, 'aaaa')],
    ['an unknown verdict', (text: string) => text.replace('pass', 'great')],
    ['a short digest', (text: string) => text.replace('0'.repeat(64), '0')],
    ['one thing said twice', (text: string) => `${text}\nGate-Verdict: fail`],
    ['no environment', (text: string) => text.replace(/^Environment.*\n/, '')],
    ['no revision', (text: string) => text.replace(/^Promoted-From.*\n/m, '')],
    ['no verdict', (text: string) => text.replace(/^Gate-Verdict.*\n/m, '')],
    ['no evidence', (text: string) => text.replace(/^Gate-Evidence.*$/m, '')],
    ['a rollback of an abbreviated commit', (text: string) => `${text}\nRollback-Of: bbbb`],
  ])('with %s are not ours', (_title, edit) => {
    expect(parseTrailers(edit(formatTrailers(trailers)))).toBeUndefined();
  });
});

it('the last good state is the newest one before the present that passed or warned and is not barred', () => {
  const revision = fc.constantFrom<string>('1', '2', '3', '4');
  const entry = fc.record({ promotedFrom: revision, verdict: fc.constantFrom(...VERDICTS) });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), revision, fc.array(revision, { maxLength: 2 }), (entries, present, barred) => {
      const history = entries.map(
        (one, index): HistoryEntry => ({
          ...one,
          commit: String(index),
          date: '2026-01-01T00:00:00Z',
          environment: 'p',
          evidence: 'sha256:0',
        }),
      );
      const quarantine = barred.map((one) => ({ revision: one, reason: 'slow', since: '2026-01-01T00:00:00Z' }));
      const found = lastGood(history, { environment: 'p', revision: present, quarantine });
      const good = history.filter(
        ({ promotedFrom, verdict }) =>
          promotedFrom !== present && ['pass', 'warn'].includes(verdict) && !barred.includes(promotedFrom),
      );
      expect(found).toBe(good[0]);
    }),
  );
  expect(lastGood([], { environment: 'p', revision: A })).toBeUndefined();
});
