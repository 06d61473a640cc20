// The `telemetry` part of a configuration file.
import { existsSync } from 'node:fs';
import { SIGNALS } from '../telemetry/signal.ts';
import type { CollectorConfig, TelemetryConfig } from './types.ts';

/** As the file has it. */
export interface RawTelemetry {
  traces?: TelemetryConfig['traces'];
  otlp?: Partial<TelemetryConfig['otlp']>;
  decisionLog?: { file?: string; maxMiB?: number; mask?: string[] };
  resource?: Record<string, string>;
}

/** What an exporter does unless it is told otherwise; no collector means that nothing is sent. */
export const OTLP_DEFAULTS: TelemetryConfig['otlp'] = {
  collectors: [],
  signals: [...SIGNALS],
  retryForMs: 300_000,
  queue: 2048,
  flushMs: 1000,
};
const COLLECTOR_FILES = ['headersFile', 'ca', 'cert', 'key'] as const;

/** Paths in it are relative to the file. */
export function telemetryOf(raw: RawTelemetry | undefined, path: (value: string) => string): TelemetryConfig {
  const { traces, otlp, decisionLog, resource } = raw ?? {};
  return {
    traces: { ...traces, ...(traces?.file === undefined ? {} : { file: path(traces.file) }) },
    otlp: {
      ...OTLP_DEFAULTS,
      ...otlp,
      collectors: (otlp?.collectors ?? []).map((collector) => ({
        ...collector,
        ...Object.fromEntries(
          COLLECTOR_FILES.flatMap((key) => (collector[key] === undefined ? [] : [[key, path(collector[key])]])),
        ),
      })),
      ...(otlp?.file === undefined ? {} : { file: path(otlp.file) }),
    },
    ...(decisionLog === undefined
      ? {}
      : {
          decisionLog: {
            ...(decisionLog.file === undefined ? {} : { file: path(decisionLog.file) }),
            ...(decisionLog.maxMiB === undefined ? {} : { maxMiB: decisionLog.maxMiB }),
            mask: decisionLog.mask ?? [],
          },
        }),
    resource: resource ?? {},
  };
}

/** Reports files of collectors that are not there, and half of a client certificate; `say` takes a JSON pointer and a message. */
export function checkCollectors(collectors: readonly CollectorConfig[], say: (path: string, message: string) => unknown): void {
  for (const [index, collector] of collectors.entries()) {
    const at = `telemetry.otlp.collectors.${index}`;
    for (const key of COLLECTOR_FILES) {
      const file = collector[key];
      if (file !== undefined && !existsSync(file))
        say(`/telemetry/otlp/collectors/${index}/${key}`, `${at}.${key}: no such file: ${file}`);
    }
    if ((collector.cert === undefined) !== (collector.key === undefined))
      say(`/telemetry/otlp/collectors/${index}`, `${at}: cert and key go together`);
  }
}
