// The client of the gateway's benchmark: one round against both servers, each a process of its own, asked in turn at an open rate.
import { fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
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
  /** Connections that wait for a request. */
  idle: Connection[];
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
  const idle: Connection[] = [];
  return {
    port,
    idle,
    samples: [],
    measure: () => child.send({ measure: true }),
    async figures() {
      child.send({ measure: false });
      return (await next<{ figures: GatewayFigures }>()).figures;
    },
    async stop() {
      for (const { socket } of idle) socket.destroy();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // The end of the channel ends the process, which a profile is written by.
      child.disconnect();
      await ended;
    },
  };
}

const body = JSON.stringify({ model: 'mixtral-micro', messages: [{ role: 'user', content: 'The Congress shall have power' }] });

const HEAD_END = '\r\n\r\n';

interface HttpAnswer {
  head: string;
  body: string;
}

/**
 * A connection that stays open and has one request at a time. Straight on the socket: node:http as a client costs as much as the server
 * that does nothing, and its pauses would be counted as the gateway's.
 */
class Connection {
  readonly socket: Socket;
  #received = '';
  #answered: ((answer: HttpAnswer | undefined) => void) | undefined;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true }).setEncoding('latin1');
    this.socket
      .on('data', (chunk: string) => this.#receive(chunk))
      .on('error', () => this.#end(undefined))
      .on('close', () => this.#end(undefined));
  }

  send(text: string, answered: (answer: HttpAnswer | undefined) => void): void {
    this.#answered = answered;
    this.#received = '';
    this.socket.write(text);
  }

  #receive(chunk: string): void {
    this.#received += chunk;
    const at = this.#received.indexOf(HEAD_END);
    if (at < 0) return;
    const head = this.#received.slice(0, at);
    const body = this.#received.slice(at + HEAD_END.length);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (length === undefined) this.#end(undefined);
    else if (body.length >= Number(length)) this.#end({ head, body });
  }

  #end(answer: HttpAnswer | undefined): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(answer);
  }
}

/** Asks once. Resolves with the answer's text (ASCII), undefined when it was not 200. */
function ask({ port, idle, samples }: Server, token: string, measured: boolean): Promise<string | undefined> {
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `authorization: Bearer ${token}`,
  ].join('\r\n');
  return new Promise((resolve) => {
    let connection = idle.pop();
    // A server closes what was idle for long.
    while (connection?.socket.writable === false) connection = idle.pop();
    const used = connection ?? new Connection(port);
    const begin = machineNow();
    used.send(`${head}\r\n\r\n${body}`, (answer) => {
      const ms = machineNow() - begin;
      if (!answer?.head.startsWith('HTTP/1.1 200 ')) {
        used.socket.destroy();
        return resolve(undefined);
      }
      idle.push(used);
      const serverMs = Number(/^x-mixgate-overhead-ms: *(\S+)/im.exec(answer.head)?.[1] ?? Number.NaN);
      if (measured) samples.push({ begin, ms, serverMs });
      resolve(answer.body);
    });
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
