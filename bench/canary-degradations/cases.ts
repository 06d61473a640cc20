// What is tried: 20 kinds of degradation at 3 strengths, and 20 changes that change nothing. Every one is made for real: another model file,
// another setting of the runtime, or a fault between client and runtime.
import type { Fault } from './fault-proxy.ts';

export interface Case {
  readonly id: string;
  readonly kind: string;
  /** The strength, as shown in the table. */
  readonly strength: string;
  readonly clean: boolean;
  /** Flags of `mixgate-runtime variant`; absent: the shipped file. */
  readonly variant?: readonly string[];
  readonly fault?: Fault;
  /** Share of the time the candidate's process is stopped, as a throttled container is. */
  readonly throttle?: number;
  readonly serve?: ServeChange;
  /** What a right diagnosis names. */
  readonly cause?: { readonly layer?: number; readonly expert?: number; readonly segment?: string };
}

export interface ServeChange {
  readonly version?: string;
  readonly fileName?: string;
  readonly context?: number;
  readonly sequences?: number;
  readonly batch?: number;
  readonly decisionLog?: boolean;
  readonly traces?: boolean;
  readonly bundleRevision?: string;
  readonly restart?: boolean;
}

type Strength = readonly [string, Partial<Case>];

function kind(name: string, strengths: readonly [Strength, Strength, Strength], shared: Partial<Case> = {}): Case[] {
  return strengths.map(([strength, change], index) => ({
    id: `${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${index + 1}`,
    kind: name,
    strength,
    clean: false,
    ...shared,
    ...change,
  }));
}

const variant = (...flags: string[]): Partial<Case> => ({ variant: flags });
const at = (layer: number, expert: number): string[] => ['--layer', `${layer}`, '--expert', `${expert}`];
const strength = (value: number): string[] => ['--strength', `${value}`];
const fault = (value: Fault): Partial<Case> => ({ fault: value });

export const DEGRADATIONS: readonly Case[] = [
  ...kind(
    'expert corrupted',
    [
      ['25 % of rows', variant('--kind', 'expert-corrupt', ...at(3, 1), ...strength(0.25))],
      ['50 % of rows', variant('--kind', 'expert-corrupt', ...at(3, 1), ...strength(0.5))],
      ['all rows', variant('--kind', 'expert-corrupt', ...at(3, 1))],
    ],
    { cause: { layer: 3, expert: 1 } },
  ),
  ...kind(
    'expert zeroed',
    [
      ['25 % of rows', variant('--kind', 'expert-zero', ...at(2, 4), ...strength(0.25))],
      ['50 % of rows', variant('--kind', 'expert-zero', ...at(2, 4), ...strength(0.5))],
      ['all rows', variant('--kind', 'expert-zero', ...at(2, 4))],
    ],
    { cause: { layer: 2, expert: 4 } },
  ),
  ...kind(
    'expert noised',
    [
      ['0.3 x RMS', variant('--kind', 'expert-noise', ...at(1, 6), ...strength(0.3))],
      ['1 x RMS', variant('--kind', 'expert-noise', ...at(1, 6), ...strength(1))],
      ['2 x RMS', variant('--kind', 'expert-noise', ...at(1, 6), ...strength(2))],
    ],
    { cause: { layer: 1, expert: 6 } },
  ),
  ...kind('shard written twice', [
    ['layer 1', { ...variant('--kind', 'expert-copy', ...at(1, 1), '--other', '4'), cause: { layer: 1, expert: 1 } }],
    ['layer 2', { ...variant('--kind', 'expert-copy', ...at(2, 1), '--other', '4'), cause: { layer: 2, expert: 1 } }],
    ['layer 3', { ...variant('--kind', 'expert-copy', ...at(3, 1), '--other', '4'), cause: { layer: 3, expert: 1 } }],
  ]),
  ...kind('experts swapped', [
    ['layer 1', { ...variant('--kind', 'expert-swap', ...at(1, 6), '--other', '4'), cause: { layer: 1 } }],
    ['layer 2', { ...variant('--kind', 'expert-swap', ...at(2, 6), '--other', '4'), cause: { layer: 2 } }],
    ['layer 3', { ...variant('--kind', 'expert-swap', ...at(3, 6), '--other', '4'), cause: { layer: 3 } }],
  ]),
  ...kind('router bias', [
    ['row x 1.5', variant('--kind', 'router-bias', ...at(2, 0), ...strength(0.5))],
    ['row x 4', variant('--kind', 'router-bias', ...at(2, 0), ...strength(3))],
    ['row x 10', variant('--kind', 'router-bias', ...at(2, 0), ...strength(9))],
  ]),
  ...kind('router noise', [
    ['0.2 x RMS', variant('--kind', 'router-bias', '--layer', '1', ...strength(0.2))],
    ['0.5 x RMS', variant('--kind', 'router-bias', '--layer', '1', ...strength(0.5))],
    ['1.5 x RMS', variant('--kind', 'router-bias', '--layer', '1', ...strength(1.5))],
  ]),
  ...kind('wrong number of experts', [
    ['3 for 2', variant('--kind', 'experts-used', ...strength(3))],
    ['4 for 2', variant('--kind', 'experts-used', ...strength(4))],
    ['1 for 2', variant('--kind', 'experts-used', ...strength(1))],
  ]),
  ...kind('requantised', [
    ['Q4_0', variant('--kind', 'requantise', '--type', 'Q4_0')],
    ['3 bits', variant('--kind', 'coarsen', ...strength(3))],
    ['2 bits', variant('--kind', 'coarsen', ...strength(2))],
  ]),
  ...kind('attention noise', [
    ['0.1 x RMS', variant('--kind', 'attention-noise', ...strength(0.1))],
    ['0.25 x RMS', variant('--kind', 'attention-noise', ...strength(0.25))],
    ['0.5 x RMS', variant('--kind', 'attention-noise', ...strength(0.5))],
  ]),
  ...kind('RoPE base', [
    ['x 1.25', variant('--kind', 'rope-base', ...strength(1.25))],
    ['x 2', variant('--kind', 'rope-base', ...strength(2))],
    ['x 100', variant('--kind', 'rope-base', ...strength(100))],
  ]),
  ...kind('mixed tokenizer', [
    ['0.5 % of pieces', variant('--kind', 'tokenizer-mix', ...strength(0.005))],
    ['5 % of pieces', variant('--kind', 'tokenizer-mix', ...strength(0.05))],
    ['50 % of pieces', variant('--kind', 'tokenizer-mix', ...strength(0.5))],
  ]),
  ...kind('slow pool', [
    ['stopped 35 % of the time', { throttle: 0.35 }],
    ['stopped 50 % of the time', { throttle: 0.5 }],
    ['stopped 70 % of the time', { throttle: 0.7 }],
  ]),
  ...kind('stalls', [
    ['10 % of requests, 400 ms', fault({ kind: 'delay', share: 0.1, ms: 400 })],
    ['25 % of requests, 400 ms', fault({ kind: 'delay', share: 0.25, ms: 400 })],
    ['60 % of requests, 400 ms', fault({ kind: 'delay', share: 0.6, ms: 400 })],
  ]),
  ...kind(
    'one segment slow',
    [
      ['fr + 40 ms', fault({ kind: 'delay', share: 1, ms: 40, segment: 'fr' })],
      ['fr + 100 ms', fault({ kind: 'delay', share: 1, ms: 100, segment: 'fr' })],
      ['fr + 300 ms', fault({ kind: 'delay', share: 1, ms: 300, segment: 'fr' })],
    ],
    { cause: { segment: 'fr' } },
  ),
  ...kind('errors', [
    ['5 % HTTP 503', fault({ kind: 'error', share: 0.05 })],
    ['15 % HTTP 503', fault({ kind: 'error', share: 0.15 })],
    ['40 % HTTP 503', fault({ kind: 'error', share: 0.4 })],
  ]),
  ...kind('dropped stop token', [
    ['10 % of requests', fault({ kind: 'drop-stop', share: 0.1 })],
    ['40 % of requests', fault({ kind: 'drop-stop', share: 0.4 })],
    ['every request', fault({ kind: 'drop-stop', share: 1 })],
  ]),
  ...kind('cached stale answers', [
    ['10 % of requests', fault({ kind: 'stale', share: 0.1 })],
    ['40 % of requests', fault({ kind: 'stale', share: 0.4 })],
    ['every request', fault({ kind: 'stale', share: 1 })],
  ]),
  ...kind('wrong template', [
    ['trailing space', fault({ kind: 'template', prefix: '', suffix: ' ' })],
    ['trailing newline', fault({ kind: 'template', prefix: '', suffix: '\n' })],
    ['[INST] around', fault({ kind: 'template', prefix: '[INST] ', suffix: ' [/INST]' })],
  ]),
  ...kind('truncated context', [
    ['last 120 characters', fault({ kind: 'truncate', characters: 120 })],
    ['last 50 characters', fault({ kind: 'truncate', characters: 50 })],
    ['last 15 characters', fault({ kind: 'truncate', characters: 15 })],
  ]),
];

const clean = (id: string, name: string, change: Partial<Case> = {}): Case => ({
  id: `clean-${id}`,
  kind: name,
  strength: '',
  clean: true,
  ...change,
});

const CLEAN: readonly Case[] = [
  clean('same', 'the same file, another process'),
  clean('rebuilt', 'rebuilt: tensors reordered, metadata added', variant('--kind', 'rebuild')),
  clean('rebuilt-again', 'rebuilt in another order', variant('--kind', 'rebuild', '--seed', '2')),
  clean('metadata', 'metadata added', variant('--kind', 'metadata')),
  clean('aligned-64', 'tensors aligned to 64 bytes', variant('--kind', 'align', ...strength(64))),
  clean('aligned-4096', 'tensors aligned to 4096 bytes', variant('--kind', 'align', ...strength(4096))),
  clean(
    'experts-permuted',
    'experts of one layer reordered with their router rows',
    variant('--kind', 'expert-permute', '--layer', '2'),
  ),
  clean('experts-permuted-all', 'experts of every layer reordered with their router rows', variant('--kind', 'expert-permute')),
  clean('rescaled-2', 'expert weights rescaled by 2 and 1/2', variant('--kind', 'rescale', ...strength(2))),
  clean('rescaled-half', 'expert weights rescaled by 1/2 and 2', variant('--kind', 'rescale', ...strength(0.5))),
  clean('f16', 'the same weights stored as F16', variant('--kind', 'requantise', '--type', 'F16')),
  clean('version', 'renamed version', { serve: { version: '2.0.0-rc.1' } }),
  clean('file-name', 'other file name', { serve: { fileName: 'Mixtral Micro (release).gguf' } }),
  clean('context', 'context of 1024 instead of 512', { serve: { context: 1024 } }),
  clean('sequences', '8 sequences instead of 4', { serve: { sequences: 8 } }),
  clean('restarted', 'restarted just before', { serve: { restart: true } }),
  clean('decision-log', 'decision log on', { serve: { decisionLog: true } }),
  clean('traces', 'trace export to a file on', { serve: { traces: true } }),
  clean('policy', 'policy bundle rebuilt with another revision', { serve: { bundleRevision: 'rebuilt-1' } }),
  clean('batch', 'batches of 256 tokens instead of 512', { serve: { batch: 256 } }),
];

export const CASES: readonly Case[] = [...DEGRADATIONS, ...CLEAN];
