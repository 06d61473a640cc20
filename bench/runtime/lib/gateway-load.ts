// The client of the gateway's benchmark: one round against both servers, each a process of its own, asked in turn at an open rate.
import { fork } from 'node:child_process';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { GatewayFigures, GatewaySetup } from './gateway-server.ts';
import { machineNow, type Usage, watchProcess } from './pauses.ts';

/** One request as the client saw it; milliseconds, `begin` of the machine's monotonic clock. */
export interface Sample {
  begin: number;
  ms: number;
  /** By the server's clock up to the answer: its header `x-mixgate-overhead-ms`. */
  serverMs: number;
}

/** One round. */
export interface Round {
  gateway: Sample[];
  plain: Sample[];
  figures: { gateway: GatewayFigures; plain: GatewayFigures };
  client: Usage;
  failures: number;
}

export interface Load {
  /** Requests a second, to each server. */
  rate: number;
  seconds: number;
  warmUpSeconds: number;
  jwks: string;
  /** For the gateway's logs. */
  folder: string;
  token: string;
  /** Where the gateway's CPU profile goes. */
  profile: string | undefined;
}

interface Server {
  port: number;
  agent: Agent;
  samples: Sample[];
  measure(): void;
  figures(): Promise<GatewayFigures>;
  stop(): Promise<void>;
}

async function start(setup: GatewaySetup, execArgv: string[]): Promise<Server> {
  const child = fork(fileURLToPath(new URL('./gateway-server.ts', import.meta.url)), [], {
    execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
  });
  const next = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as T));
      child.once('exit', (code) => reject(new Error(`the ${setup.kind} server ended with ${code}`)));
    });
  child.send(setup);
  const { port } = await next<{ port: number }>();
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    port,
    agent,
    samples: [],
    measure: () => child.send({ measure: true }),
    async figures() {
      child.send({ measure: false });
      return (await next<{ figures: GatewayFigures }>()).figures;
    },
    async stop() {
      agent.destroy();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // The end of the channel ends the process, which a profile is written by.
      child.disconnect();
      await ended;
    },
  };
}

const body = JSON.stringify({ model: 'mixtral-micro', messages: [{ role: 'user', content: 'The Congress shall have power' }] });

/** Asks once. Resolves with the answer's text, undefined when it was not 200. */
function ask({ port, agent, samples }: Server, token: string, measured: boolean): Promise<string | undefined> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    authorization: `Bearer ${token}`,
  };
  return new Promise((resolve) => {
    const begin = machineNow();
    const call = request(
      { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent, headers },
      (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => {
            text += chunk;
          })
          .on('end', () => {
            const ms = machineNow() - begin;
            if (response.statusCode !== 200) return resolve(undefined);
            if (measured) samples.push({ begin, ms, serverMs: Number(response.headers['x-mixgate-overhead-ms'] ?? Number.NaN) });
            resolve(text);
          });
      },
    );
    call.on('error', () => resolve(undefined));
    call.end(body);
  });
}

/** Starts both servers, loads them, stops them. */
export async function round({ rate, seconds, warmUpSeconds, jwks, folder, token, profile }: Load): Promise<Round> {
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, '--cpu-prof-interval=250'];
  const gateway = await start({ kind: 'gateway', jwks, folder, answer: '' }, profiling);
  const answer = await ask(gateway, token, false);
  if (answer === undefined) throw new Error('the gateway refused the first request');
  const plain = await start({ kind: 'no-op', jwks, folder, answer }, []);
  let failures = 0;
  let running = 0;
  let client: (() => Usage) | undefined;
  const begin = performance.now();
  const warmUp = 2 * rate * warmUpSeconds;
  const total = Math.round(2 * rate * (seconds + warmUpSeconds));
  for (let index = 0; index < total; index++) {
    // Open model: the next request does not wait for the last. The two servers are asked in turn, so that neither meets the other's request.
    const wait = begin + (index * 500) / rate - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (client === undefined && index >= warmUp) {
      gateway.measure();
      plain.measure();
      client = watchProcess();
    }
    running++;
    void ask(index % 2 === 0 ? gateway : plain, token, index >= warmUp).then((text) => {
      if (text === undefined) failures++;
      running--;
    });
  }
  while (running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  if (client === undefined) throw new Error('nothing was measured');
  const used = client();
  const figures = { gateway: await gateway.figures(), plain: await plain.figures() };
  await gateway.stop();
  await plain.stop();
  return { gateway: gateway.samples, plain: plain.samples, figures, client: used, failures };
}
