// What the runtime says about a model that it loads when it is needed.
import type { RuntimeConfig } from '../config/types.ts';
import type { EngineInfo } from '../engine/types.ts';
import { preflight } from '../gguf/preflight.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ResidencyEvents } from './residency.ts';

/**
 * What the file's header says, before anything is loaded. A model that can't be served, or is too large for this machine as it is now, is refused
 * at start and not by the first request. @throws GgufError, PreflightError
 */
export function unloadedInfo(config: RuntimeConfig): EngineInfo {
  const { model } = config;
  const { shape } = preflight(model.path, { ...model, gpu: model.gpu !== false });
  return {
    engine: 'llama',
    model: model.id,
    context: model.context,
    sequences: model.sequences,
    threads: model.threads,
    gpu: String(model.gpu),
    loadMs: 0,
    layers: shape.layers,
    experts: shape.experts,
    expertsUsed: shape.expertsUsed,
    parameters: shape.parameters,
    fileBytes: shape.fileBytes,
    trainedContext: shape.trainedContext,
    trace: { available: false, reason: 'the model is not loaded yet' },
  };
}

/** Loads and unloads in the log and the metrics; `loaded` learns what was loaded. */
export function residencyEvents(
  metrics: Metrics,
  log: (message: string) => void,
  loaded: (info: EngineInfo) => void,
): ResidencyEvents {
  const { coldStart, loadFailures, unloads } = metrics.instruments;
  return {
    loaded(info, seconds) {
      loaded(info);
      metrics.engineLoaded(info);
      coldStart.observe(seconds);
      log(`model ${info.model} loaded on demand in ${seconds.toFixed(2)} s`);
      if (!info.trace.available) log(`router tracing off: ${info.trace.reason}`);
    },
    failed(reason) {
      loadFailures.inc();
      log(`model not loaded: ${reason}`);
    },
    unloaded() {
      unloads.inc();
      log('model unloaded: nobody asked for a while');
    },
  };
}
