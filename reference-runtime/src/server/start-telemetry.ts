// Metrics and exporter of one runtime, with the resource they have in common.
import { randomUUID } from 'node:crypto';
import type { RuntimeConfig } from '../config/types.ts';
import { TelemetryExporter } from '../telemetry/exporter.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { otlpSettings } from '../telemetry/otlp-settings.ts';
import { refreshMetrics } from './refresh-metrics.ts';
import type { Runtime } from './runtime.ts';

/** What the start brings: `runtime` gives the runtime once there is one. */
export interface TelemetryParts {
  env: NodeJS.ProcessEnv;
  print: (message: string) => void;
  runtime: () => Runtime | undefined;
}

/** @throws ConfigurationError for an environment that cannot be followed; Error when a collector's certificate cannot be read */
export function startTelemetry(
  config: RuntimeConfig,
  version: string,
  { env, print, runtime }: TelemetryParts,
): { metrics: Metrics; telemetry: TelemetryExporter } {
  const settings = otlpSettings(config.telemetry, env);
  for (const warning of settings.warnings) print(warning);
  const attributes = { 'mixgate.cluster': config.cluster, ...settings.resource, ...config.telemetry.resource };
  const metrics = new Metrics({
    version,
    cluster: config.cluster,
    model: config.model.id,
    modelVersion: config.model.version,
    attributes,
  });
  const tracesFile = config.telemetry.traces.file;
  const telemetry = new TelemetryExporter({
    settings,
    resource: {
      'service.name': 'mixgate-runtime',
      'service.version': version,
      'service.instance.id': randomUUID(),
      ...attributes,
    },
    version,
    metrics,
    refresh: () => {
      const started = runtime();
      if (started !== undefined) refreshMetrics(started);
    },
    ...(tracesFile === undefined ? {} : { tracesFile }),
    log: print,
  });
  return { metrics, telemetry };
}
