import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { problemsOf } from '../../src/config/schema.ts';
import { finding } from '../../src/core/finding.ts';
import { renderAnnotations } from '../../src/report/annotations.ts';
import { commentMarker, renderComment } from '../../src/report/comment.ts';
import { FORMATS, render } from '../../src/report/index.ts';
import { renderJson } from '../../src/report/json.ts';
import { renderMarkdown } from '../../src/report/markdown.ts';
import { renderText } from '../../src/report/text.ts';
import { anyReport } from './arbitrary.ts';
import { passingReport, reportOf, sampleReport } from './sample.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff]/u;

/** Markdown without fenced blocks, code spans and backslash escapes, read from left to right as CommonMark 0.31 (6.1, 2.4) does. */
function outsideCode(markdown: string): string {
  const text = markdown.replace(/^(`{3,})[^\n]*\n[\s\S]*?\n\1$/gm, '');
  let kept = '';
  for (let at = 0; at < text.length; ) {
    const run = /^`+/.exec(text.slice(at, at + 40))?.[0];
    if (run !== undefined) {
      // A span ends at the next run of the same length, in the same paragraph.
      const close = new RegExp(`^[^]*?[^\`]\`{${run.length}}(?!\`)`).exec(text.slice(at + run.length).split('\n\n')[0]!);
      at += run.length + (close?.[0].length ?? 0);
      kept += close === null ? run : ' ';
    } else if (text[at] === '\\' && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? '')) {
      at += 2;
      kept += ' ';
    } else kept += text[at++];
  }
  return kept;
}

describe('every format', () => {
  test.each(FORMATS)('%s: the same report gives the same bytes', async (format) => {
    expect(await render(format, sampleReport())).toBe(await render(format, sampleReport()));
  });

  test.each(FORMATS)('%s: says which findings block, warn and are waived', async (format) => {
    const text = await render(format, sampleReport());
    for (const rule of ['policy-invariant-violated', 'drift-route-weight', 'catalog-owner-missing']) expect(text).toContain(rule);
    expect(text).toMatch(/block/i);
    expect(text).toContain('waived');
  });

  test.each(FORMATS.filter((format) => format !== 'json'))(
    '%s: no control or direction character of a hostile report survives',
    async (format) => {
      await fc.assert(
        fc.asyncProperty(anyReport, async (report) => {
          const text = await render(format, report);
          expect(UNSAFE.test(text)).toBe(false);
          expect(text.isWellFormed()).toBe(true);
        }),
        { numRuns: format === 'html' ? 25 : 100 },
      );
    },
  );
});

describe('json', () => {
  const problems = (text: string): unknown =>
    problemsOf('report', { value: JSON.parse(text), locate: () => ({ file: 'report.json' }) });

  test('any report is valid against schemas/report.schema.json', () => {
    fc.assert(
      fc.property(anyReport, (report) => {
        expect(problems(renderJson(report))).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  test('gates name findings by id; each finding is there once', () => {
    const document = JSON.parse(renderJson(sampleReport())) as { gates: { findings: string[] }[]; findings: { id: string }[] };
    const ids = document.findings.map((item) => item.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(document.gates.flatMap((gate) => gate.findings).every((id) => ids.includes(id))).toBe(true);
  });

  test('numbers that are not finite become null', () => {
    const report = reportOf([], {
      measurements: [{ name: 'a', value: Number.NaN, unit: '1', interval: [Number.NEGATIVE_INFINITY, 2] }],
    });
    expect(JSON.parse(renderJson(report)).gates[0].measurements[0]).toEqual({
      name: 'a',
      value: null,
      unit: '1',
      interval: [null, 2],
    });
  });

  test('a schema fault is found', () => {
    expect(problems(renderJson(sampleReport()).replace('"verdict": "fail"', '"verdict": "great"'))).not.toEqual([]);
  });
});

describe('text', () => {
  test('the summary comes first, the last line says what next', () => {
    const lines = renderText(sampleReport()).trimEnd().split('\n');
    expect(lines[0]).toBe('mixgate check   FAIL   3 blocking, 2 warnings, 1 note, 1 waived');
    expect(lines.at(-1)).toMatch(
      /^Next: fix the 3 blocking findings, first catalog-memory-exceeded at catalog\/models\/mixtral-8x7b-instruct\.yaml:18:5; `mixgate explain /,
    );
    expect(lines.indexOf('Blocking (3)')).toBeLessThan(40);
  });

  test.each([
    ['pass', passingReport(), 'Nothing blocks this change.'],
    [
      'inconclusive',
      reportOf([], { verdict: 'inconclusive', reason: 'needs 100 more samples.' }),
      'Next: give policy the evidence it lacks: needs 100 more samples.',
    ],
    ['error', reportOf([], { verdict: 'error', reason: 'opa is missing.' }), 'Next: make policy able to run: opa is missing.'],
  ])('%s has its own next step', (_, report, last) => {
    const verdict = report.gates[0]!.verdict;
    expect(
      renderText({ ...report, verdict })
        .trimEnd()
        .split('\n')
        .at(-1),
    ).toBe(last);
  });

  test('colour only when asked', () => {
    expect(renderText(sampleReport())).not.toContain('\u001b');
    expect(renderText(sampleReport(), { color: true })).toContain('\u001b[1;7;31m FAIL \u001b[0m');
  });

  test.each([60, 80, 100, 140])('tables fit %i columns', (width) => {
    const lines = renderText(sampleReport(), { width }).split('\n');
    const table = lines.slice(
      lines.findIndex((line) => line.includes('verdict')),
      lines.indexOf('Blocking (3)'),
    );
    expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(width);
  });

  test('wide characters count two columns', () => {
    const report = reportOf([], {
      tables: [
        {
          title: 't',
          columns: ['a', 'b'],
          rows: [
            ['日本', 'x'],
            ['ab', 'y'],
          ],
        },
      ],
    });
    expect(renderText(report)).toContain('  日本  x\n  ab    y');
  });

  test('no line starts a workflow command, whatever a report says', () => {
    fc.assert(
      fc.property(anyReport, fc.integer({ min: 40, max: 120 }), (report, width) => {
        const text = renderText(report, { width });
        expect(text).not.toMatch(/^\s*::/m);
        expect(text).not.toContain('##[');
      }),
      { numRuns: 200 },
    );
  });
});

describe('markdown and comment', () => {
  const comment = (report: Parameters<typeof renderComment>[0]): string =>
    renderComment(report, { marker: commentMarker('gate:check') });
  test.each([
    ['markdown', renderMarkdown],
    ['comment', comment],
  ] as const)('%s: hostile text makes no element, mention, issue link, image or bare link', (_, draw) => {
    fc.assert(
      fc.property(anyReport, (report) => {
        const text = outsideCode(draw(report).replace(/^<!-- mixgate [^\n]*-->\n/, ''));
        expect(text.match(/<(?!\/?(?:details|summary|sub)>|details open>)/g)).toBeNull();
        expect(text.replace(/&#\d+;/g, ' ')).not.toMatch(/[@#](?:[A-Za-z0-9])/);
        expect(text).not.toMatch(/https?:\/\/|\bwww\./i);
        expect(text).not.toMatch(/!\[/);
      }),
      { numRuns: 200 },
    );
  });

  test('table cells keep their table together', () => {
    const report = reportOf([], { tables: [{ title: 't', columns: ['a', 'b'], rows: [['x | y', '`p|q`']] }] });
    expect(renderMarkdown(report)).toContain('| x \\| y | `p\\|q` |');
  });

  test('code in messages stays code; other markup is inert', () => {
    const report = reportOf([finding({ ruleId: 'policy-x', level: 'error', message: 'Rule `a_b` beats *c* and <i>d</i>.' })]);
    expect(renderMarkdown(report)).toContain('Rule `a_b` beats \\*c\\* and &lt;i&gt;d&lt;/i&gt;.');
  });

  test('evidence can not close its fence', () => {
    const report = reportOf([
      finding({ ruleId: 'policy-x', level: 'error', message: 'm', evidence: 'a\n```\n# not a heading\n````' }),
    ]);
    expect(renderMarkdown(report)).toContain('`````yaml\na\n```\n# not a heading\n````\n`````');
  });

  test('a summary has at most 1 MiB of UTF-8, the comment at most 60,000 characters, and both say what is missing', () => {
    const many = Array.from({ length: 6000 }, (_, index) =>
      finding({
        ruleId: 'policy-x',
        level: 'error',
        message: `Finding ${index} ${'語'.repeat(100)}`,
        location: { file: 'a.rego', line: 1 },
        evidence: { index },
      }),
    );
    const summary = renderMarkdown(reportOf(many));
    expect(Buffer.byteLength(summary)).toBeLessThanOrEqual(1024 * 1024);
    expect(summary).toMatch(/Left out for length: \d+ findings/);
    const body = comment(reportOf(many));
    expect(body.length).toBeLessThanOrEqual(60_000);
    expect(body).toMatch(/_\d+ findings more in the job summary\._/);
    expect(body).toContain('5950 more blocking findings in the job summary');
  });

  test('one enormous finding is cut, not lost', () => {
    const report = reportOf([
      finding({
        ruleId: 'policy-x',
        level: 'error',
        message: 'x'.repeat(3_000_000),
        evidence: 'y\n'.repeat(1_000_000),
        fix: 'z'.repeat(3_000_000),
      }),
    ]);
    for (const text of [renderMarkdown(report), comment(report), renderText(report), renderAnnotations(report)]) {
      expect(text.length).toBeLessThan(60_000);
      expect(text).toContain('policy-x');
    }
  });

  test('places link to the file at the head commit', () => {
    const report = reportOf([
      finding({ ruleId: 'policy-x', level: 'error', message: 'm', location: { file: 'a (b)/c d.rego', line: 3 } }),
    ]);
    const text = renderMarkdown(report, {
      links: { repositoryUrl: 'https://github.example/o/r', commit: 'abc' },
      pathPrefix: 'fleet',
    });
    expect(text).toContain('[`a (b)/c d.rego:3`](https://github.example/o/r/blob/abc/fleet/a%20%28b%29/c%20d.rego#L3)');
  });

  test('the marker can not be closed by a workflow name', () => {
    expect(commentMarker('evil --> <b>:job tag')).toBe('<!-- mixgate evil -_ _b_:job tag -->');
  });
});

describe('annotations', () => {
  const many = (count: number, level: 'error' | 'warning' | 'note') =>
    Array.from({ length: count }, (_, index) =>
      finding({
        ruleId: 'policy-x',
        level,
        message: `m${index}`,
        location: { file: index === count - 1 ? 'changed.rego' : 'a.rego', line: index + 1 },
      }),
    );

  test('nine and a tenth that counts the rest, for each level', () => {
    const lines = renderAnnotations(reportOf([...many(40, 'error'), ...many(10, 'warning'), ...many(11, 'note')]))
      .trimEnd()
      .split('\n');
    expect(lines.filter((line) => line.startsWith('::error'))).toHaveLength(10);
    expect(lines.filter((line) => line.startsWith('::warning'))).toHaveLength(10);
    expect(lines.filter((line) => line.startsWith('::notice'))).toHaveLength(10);
    expect(lines).toContain('::error title=mixgate::and 31 more, see the job summary');
    expect(lines).toContain('::notice title=mixgate::and 2 more, see the job summary');
  });

  test('findings in the diff come first', () => {
    const [first] = renderAnnotations(reportOf(many(40, 'error')), { changed: new Set(['changed.rego']) }).split('\n');
    expect(first).toContain('file=changed.rego');
  });

  test('columns only when the annotation is on one line; paths from the root of the repository', () => {
    const one = finding({
      ruleId: 'policy-x',
      level: 'error',
      message: 'm',
      location: { file: 'a.rego', line: 3, column: 5, endLine: 3, endColumn: 9 },
    });
    const two = finding({
      ruleId: 'policy-y',
      level: 'error',
      message: 'm',
      location: { file: 'a.rego', line: 3, column: 5, endLine: 4, endColumn: 9 },
    });
    expect(renderAnnotations(reportOf([one, two]), { pathPrefix: 'fleet' })).toBe(
      '::error file=fleet/a.rego,line=3,endLine=3,col=5,endColumn=9,title=policy-x (blocks)::m\n::error file=fleet/a.rego,line=3,endLine=4,title=policy-y (blocks)::m\n',
    );
  });

  test('percent, line breaks, colons and commas are escaped', () => {
    const item = finding({
      ruleId: 'policy-x',
      level: 'error',
      message: '100 %\nnext',
      location: { file: 'a,b:c.rego', line: 1 },
    });
    expect(renderAnnotations(reportOf([item]))).toBe(
      '::error file=a%2Cb%3Ac.rego,line=1,endLine=1,title=policy-x (blocks)::100 %25%0Anext\n',
    );
  });

  test('a hostile report makes only our own commands', () => {
    fc.assert(
      fc.property(anyReport, (report) => {
        for (const line of renderAnnotations(report)
          .split('\n')
          .filter((text) => text !== '')) {
          expect(line).toMatch(/^::(?:error|warning|notice) [^\n]*?title=[^:,\n]*::/);
          expect(line).not.toContain('##[');
        }
      }),
      { numRuns: 200 },
    );
  });
});
