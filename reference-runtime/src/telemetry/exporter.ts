// Exports spans to a file of OTLP/JSON lines, to a collector over OTLP/HTTP, or both. The queue is bounded; what is lost is counted.
import { LineFile } from './line-file.ts';
import { exportRequest, type Span } from './otlp.ts';

export interface ExporterOptions {
  file?: string;
  endpoint?: string;
  /** Requests (groups of spans) held at most. */
  queue: number;
  flushMs: number;
  resource: Record<string, string>;
  version: string;
  onDrop: (requests: number, reason: 'queue_full' | 'export_failed') => void;
}

const SEND_TIMEOUT_MS = 5000;
const BATCH = 128;

/** The span exporter. With neither file nor endpoint it does nothing. */
export class SpanExporter {
  readonly #options: ExporterOptions;
  readonly #file: LineFile | undefined;
  #queue: Span[][] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#file =
      options.file === undefined ? undefined : new LineFile(options.file, (count) => options.onDrop(count, 'export_failed'));
  }

  get enabled(): boolean {
    return this.#file !== undefined || this.#options.endpoint !== undefined;
  }

  /** Takes the spans of one request. */
  add(spans: Span[]): void {
    if (!this.enabled) return;
    if (this.#queue.length >= this.#options.queue) {
      this.#options.onDrop(1, 'queue_full');
      return;
    }
    this.#queue.push(spans);
    this.#timer ??= setTimeout(() => this.#send(), this.#options.flushMs).unref();
  }

  #send(): void {
    this.#timer = undefined;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined;
    });
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      const body = JSON.stringify(
        exportRequest(batch.flat(), this.#options.resource, { name: 'mixgate-runtime', version: this.#options.version }),
      );
      this.#file?.write(body);
      if (this.#options.endpoint === undefined) continue;
      try {
        const response = await fetch(`${this.#options.endpoint.replace(/\/+$/, '')}/v1/traces`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
        });
        await response.arrayBuffer();
        if (!response.ok) this.#options.onDrop(batch.length, 'export_failed');
      } catch {
        this.#options.onDrop(batch.length, 'export_failed');
      }
    }
  }

  /** Sends what is held; used before the process ends. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#sending;
    this.#send();
    await this.#sending;
    await this.#file?.flush();
  }
}
