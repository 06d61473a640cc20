import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import addFormatsModule from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { finding } from '../../src/core/finding.ts';
import { renderSarif, type SarifOptions } from '../../src/report/sarif.ts';
import { lineHashes } from '../../src/report/sarif-fingerprint.ts';
import { anyReport } from './arbitrary.ts';
import { reportOf, sampleReport } from './sample.ts';

const addFormats = addFormatsModule as unknown as (ajv: Ajv) => Ajv;

/** The schema of SARIF 2.1.0 (rtm.5) as SchemaStore serves it, from the package @microsoft/jest-sarif 1.0.0-beta.0 (MIT); draft 4, whose `id` ajv calls `$id`. */
const schema = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/sarif-2.1.0-rtm.5.json'), 'utf8')) as Record<
  string,
  unknown
>;
const { id: _, $schema: __, ...rest } = schema;
const validate = addFormats(new Ajv({ strict: false, allErrors: true, unicodeRegExp: false })).compile(rest);

interface Region {
  readonly startLine: number;
  readonly startColumn: number;
  readonly endLine: number;
  readonly endColumn: number;
}
interface Log {
  readonly $schema: string;
  readonly version: string;
  readonly runs: readonly {
    readonly tool: {
      readonly driver: {
        readonly name: string;
        readonly rules: readonly {
          readonly id: string;
          readonly shortDescription: { text: string };
          readonly fullDescription: { text: string };
          readonly help: { text: string; markdown?: string };
        }[];
      };
    };
    readonly automationDetails: { readonly id: string };
    readonly invocations: readonly {
      readonly executionSuccessful: boolean;
      readonly toolExecutionNotifications?: readonly { readonly message: { readonly text: string } }[];
    }[];
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: { readonly artifactLocation: { readonly uri: string }; readonly region: Region };
      }[];
      readonly partialFingerprints: { readonly primaryLocationLineHash: string };
      readonly suppressions?: readonly unknown[];
    }[];
  }[];
}

function sarif(report = sampleReport(), options: SarifOptions = {}): Log {
  return JSON.parse(renderSarif(report, options)) as Log;
}

describe('primaryLocationLineHash', () => {
  test.each([
    ['an empty file', '', ['c129715d7a2bc9a3:1']],
    ['two lines', 'hello\nworld\n', ['a2b8faa8c5a43ef3:1', '53f9e022cffbf0f1:1', 'c129715d7a2bc9a3:1']],
  ])('%s has the reference value', (_name, text, hashes) => {
    expect(lineHashes(text)).toEqual(hashes);
  });

  test('the first of eight equal lines has the reference value', () => {
    expect(lineHashes('fail-on: error\n'.repeat(8))[0]).toBe('3e502f2e9800dd4f:1');
  });

  test('spaces, tabs and the kind of line break do not matter', () => {
    const hashes = lineHashes('a: 1\nb: 2\n');
    expect(lineHashes('a:\t1\r\n  b:2\r\n')).toEqual(hashes);
    expect(lineHashes('a:1\rb:2\r')).toEqual(hashes);
  });

  test('is the polynomial of its definition at every line of any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' ', '\t', '\n', '\r'), maxLength: 300 }), (text) => {
        const units = [...text.replaceAll(/\r\n?/g, '\n').replaceAll(/[ \t]/g, '')].map((char) => char.charCodeAt(0));
        units.push(65_535);
        const starts = [0, ...units.flatMap((unit, index) => (unit === 10 ? [index + 1] : []))];
        const seen = new Map<string, number>();
        const expected = starts.map((start) => {
          let hash = 0n;
          for (let index = 0; index < 100; index++) hash += BigInt(units[start + index] ?? 0) * 37n ** BigInt(99 - index);
          const hex = (hash % 2n ** 64n).toString(16);
          seen.set(hex, (seen.get(hex) ?? 0) + 1);
          return `${hex}:${seen.get(hex)}`;
        });
        expect(lineHashes(text)).toEqual(expected);
      }),
    );
  });
});

describe('the log', () => {
  test('any report is valid SARIF 2.1.0', () => {
    fc.assert(
      fc.property(anyReport, (report) => {
        validate(sarif(report));
        expect(validate.errors ?? []).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('a log that lacks its version is found', () => {
    const { version: _version, ...broken } = sarif();
    expect(validate(broken)).toBe(false);
  });

  test('everything that code scanning requires is there and not empty', () => {
    const log = sarif();
    expect([log.$schema, log.version, log.runs.length]).toEqual(['https://json.schemastore.org/sarif-2.1.0.json', '2.1.0', 1]);
    const { driver } = log.runs[0]!.tool;
    for (const rule of driver.rules) {
      for (const text of [rule.id, rule.shortDescription.text, rule.fullDescription.text, rule.help.text])
        expect(text).not.toBe('');
      expect(rule.fullDescription.text.length).toBeLessThanOrEqual(1024);
    }
    for (const result of log.runs[0]!.results) {
      expect(driver.rules[result.ruleIndex]!.id).toBe(result.ruleId);
      expect(result.message.text).not.toBe('');
      expect(result.locations).toHaveLength(1);
      const { region } = result.locations[0]!.physicalLocation;
      expect(region.endLine).toBe(region.startLine);
      expect(region.endColumn).toBeGreaterThan(region.startColumn);
      expect(result.partialFingerprints.primaryLocationLineHash).toMatch(/^[0-9a-f]{1,16}:\d+$/);
    }
  });

  test('region and fingerprint come from the file where it is given', () => {
    const files = new Map([['a.rego', 'package a\n\nallow := true\n']]);
    const item = finding({ ruleId: 'policy-x', level: 'error', message: 'm', location: { file: 'a.rego', line: 3 } });
    const [result] = sarif(reportOf([item]), { files }).runs[0]!.results;
    expect(result!.locations[0]!.physicalLocation.region).toEqual({ startLine: 3, startColumn: 1, endLine: 3, endColumn: 14 });
    expect(result!.partialFingerprints.primaryLocationLineHash).toBe(lineHashes(files.get('a.rego')!)[2]);
  });

  test('a finding without a place is shown at the configuration and says so', () => {
    const [result] = sarif(reportOf([finding({ ruleId: 'slo-x', level: 'error', message: 'Budget spent.' })])).runs[0]!.results;
    expect(result!.locations[0]!.physicalLocation.artifactLocation.uri).toBe('mixgate.yaml');
    expect(result!.message.text).toContain('Not about one line of a file');
  });

  test('levels follow the effect; a waived finding is suppressed', () => {
    const results = sarif().runs[0]!.results;
    expect(results.find((item) => item.ruleId === 'policy-invariant-violated')!.level).toBe('error');
    expect(results.find((item) => item.ruleId === 'drift-route-weight')!.level).toBe('warning');
    expect(results.find((item) => item.ruleId === 'catalog-owner-missing')).toMatchObject({
      level: 'note',
      suppressions: [{ kind: 'external', status: 'accepted' }],
    });
  });

  test('paths are percent-encoded and start at the root of the repository; the category names the leg', () => {
    const item = finding({ ruleId: 'policy-x', level: 'error', message: 'm', location: { file: 'a b/ü#?.rego', line: 1 } });
    const [run] = sarif(reportOf([item]), { pathPrefix: 'deploy/fleet', category: 'us-east' }).runs;
    expect(run!.results[0]!.locations[0]!.physicalLocation.artifactLocation.uri).toBe('deploy/fleet/a%20b/%C3%BC%23%3F.rego');
    expect(run!.automationDetails.id).toBe('mixgate/us-east/');
  });

  test('rule pages become help', () => {
    const rules = new Map([['policy-x', { summary: 'An invariant does not hold.', markdown: '# policy-x\n\nText.' }]]);
    const [rule] = sarif(reportOf([finding({ ruleId: 'policy-x', level: 'error', message: 'm' })]), { rules }).runs[0]!.tool
      .driver.rules;
    expect(rule).toMatchObject({
      fullDescription: { text: 'An invariant does not hold.' },
      help: { markdown: '# policy-x\n\nText.' },
    });
  });

  test('at most 5,000 results and 10 MB compressed, blocking first, and the rest is counted', () => {
    const many = Array.from({ length: 6000 }, (_item, index) =>
      finding({
        ruleId: 'policy-x',
        level: index === 5999 ? 'error' : 'warning',
        message: `m${index}`,
        location: { file: 'a.rego', line: index + 1 },
      }),
    );
    const text = renderSarif(reportOf(many));
    const [run] = (JSON.parse(text) as Log).runs;
    expect(run!.results).toHaveLength(5000);
    expect(run!.results[0]!.level).toBe('error');
    expect(run!.invocations[0]!.toolExecutionNotifications![0]!.message.text).toContain('1000 findings were left out');
    expect(gzipSync(text).length).toBeLessThan(10_000_000);
  });
});
