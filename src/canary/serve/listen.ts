import type { Server } from 'node:http';
import { ConfigurationError } from '../../core/errors.ts';

/** Serves until the signal comes; then takes no more, and lets what is under way finish for a second and a half. */
export async function listen(
  server: Server,
  options: { readonly host: string; readonly port: number; readonly signal: AbortSignal; ready(url: string): Promise<void> },
): Promise<void> {
  const { host, port, signal } = options;
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      fail(
        new ConfigurationError(
          { message: `cannot listen on ${host} port ${port}: ${cause.message}.`, fix: 'give another --port or --host.' },
          { cause },
        ),
      ),
    );
    server.listen(port, host, done);
  });
  const address = server.address();
  const shown = host.includes(':') ? `[${host}]` : host;
  await options.ready(`http://${shown}:${typeof address === 'object' && address !== null ? address.port : port}`);
  await new Promise<void>((done) => {
    const stop = (): void => {
      server.close(() => done());
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 1_500).unref();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
