// mixgate-runtime health
import { request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { messageOf } from '../../../src/core/errors.ts';
import { loadConfig } from '../config/load.ts';
import { number, parseFlags, required } from './usage.ts';

export const HEALTH_HELP = `mixgate-runtime health: asks a runtime on this machine whether it serves

Usage:
  mixgate-runtime health --config FILE [--port N] [--live]

Flags:
  --config FILE        the configuration it serves by: says where it listens, and whether with TLS
  --port N             port instead of the configured one
  --live               only whether it answers (/healthz), not whether it is ready (/readyz)

Exit codes: 0 it does, 1 it does not (with the reason on stderr), 2 usage or configuration. This is the HEALTHCHECK of the images.

Examples:
  mixgate-runtime health --config /etc/mixgate/runtime.yaml
  mixgate-runtime health --config runtime.yaml --port 8081 --live
`;

const EXIT_UNHEALTHY = 1;
const LIMIT_MS = 5000;
const MOST_CHARS = 400;

/** What listens on every address is asked on loopback. */
function loopback(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}

/** Status and body of a GET; a certificate is not verified: it names the service, and this asks the process beside it. */
function get(tls: boolean, host: string, port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host, port, path, timeout: LIMIT_MS, ...(tls ? { rejectUnauthorized: false } : {}) };
    const asked = (tls ? overHttps : overHttp)(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body = (body + text).slice(0, MOST_CHARS);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${LIMIT_MS / 1000} s`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** Exit code 0 when the runtime is ready (or, with --live, answers), else 1. */
export async function healthCommand(args: string[]): Promise<void> {
  const flags = parseFlags(args, { config: { type: 'string' }, port: { type: 'string' }, live: { type: 'boolean' } });
  const { listen } = loadConfig(required(flags, 'config', 'the configuration that the runtime serves by'));
  const port = number(flags, 'port', { min: 1, max: 65_535 }) ?? listen.port;
  const path = flags['live'] === true ? '/healthz' : '/readyz';
  let why: string;
  try {
    const { status, body } = await get(listen.tls !== undefined, loopback(listen.host), port, path);
    if (status === 200) return;
    why = `${path} answered ${status}: ${body}`;
  } catch (error) {
    why = `${path} on port ${port}: ${messageOf(error)}`;
  }
  process.stderr.write(`mixgate-runtime health: ${why}\n`);
  process.exitCode = EXIT_UNHEALTHY;
}
