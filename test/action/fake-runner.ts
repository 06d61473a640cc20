import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../support/cli.ts';

export interface ActionFile {
  readonly inputs: {
    readonly [name: string]: { readonly description: string; readonly required?: boolean; readonly default?: string };
  };
  readonly outputs: { readonly [name: string]: { readonly description: string } };
  readonly runs: { readonly using: string; readonly main: string };
}

export function actionFile(): ActionFile {
  return parse(readFileSync(join(ROOT, 'action.yml'), 'utf8')) as ActionFile;
}

export interface RunnerOptions {
  readonly workspace: string;
  readonly event: string;
  /** The payload, or the raw text of the event file. */
  readonly payload: unknown;
  readonly sha: string;
  readonly inputs?: { readonly [name: string]: string };
  readonly api?: string;
  /** Overrides; undefined removes a variable. */
  readonly env?: { readonly [name: string]: string | undefined };
  /** Called with the process once it runs. */
  readonly started?: (kill: (signal: NodeJS.Signals) => void, line: string) => void;
}

export interface RunnerResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly outputs: { readonly [name: string]: string };
  readonly summary: string;
  readonly temp: string;
}

/** Runs the Action as the runner does: inputs and defaults from action.yml, the file commands, a loopback API. */
export async function runOnFakeRunner(options: RunnerOptions): Promise<RunnerResult> {
  const action = actionFile();
  const temp = mkdtempSync(join(tmpdir(), 'mixgate-runner-'));
  const file = (name: string, content = ''): string => {
    writeFileSync(join(temp, name), content);
    return join(temp, name);
  };
  const inputs: Record<string, string> = {};
  for (const [name, spec] of Object.entries(action.inputs)) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's syntax, as it stands in action.yml
    const value = options.inputs?.[name] ?? spec.default?.replace('${{ github.token }}', 'ghs_fakeinstallationtoken') ?? '';
    inputs[`INPUT_${name.toUpperCase().replaceAll(' ', '_')}`] = value;
  }
  mkdirSync(join(temp, 'tmp'));
  const env: Record<string, string | undefined> = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    GIT_CONFIG_GLOBAL: '/dev/null',
    MIXGATE_NOW: '2026-01-02T00:00:00Z',
    ...inputs,
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_WORKSPACE: options.workspace,
    GITHUB_REPOSITORY: 'acme/fleet',
    GITHUB_EVENT_NAME: options.event,
    GITHUB_EVENT_PATH: file(
      'event.json',
      typeof options.payload === 'string' ? options.payload : JSON.stringify(options.payload),
    ),
    GITHUB_SHA: options.sha,
    GITHUB_REF: 'refs/pull/7/merge',
    GITHUB_BASE_REF: 'main',
    GITHUB_HEAD_REF: 'change',
    GITHUB_WORKFLOW: 'gate',
    GITHUB_JOB: 'check',
    GITHUB_RUN_ID: '4711',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_SERVER_URL: 'https://github.example',
    GITHUB_API_URL: options.api ?? 'http://127.0.0.1:9',
    GITHUB_GRAPHQL_URL: 'http://127.0.0.1:9/graphql',
    GITHUB_ACTION_PATH: ROOT,
    GITHUB_OUTPUT: file('output'),
    GITHUB_STEP_SUMMARY: file('summary'),
    GITHUB_ENV: file('env'),
    GITHUB_STATE: file('state'),
    GITHUB_PATH: file('path'),
    RUNNER_TEMP: join(temp, 'tmp'),
    RUNNER_TOOL_CACHE: join(temp, 'tools'),
    RUNNER_OS: 'Linux',
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'github-hosted',
    ...options.env,
  };
  const { code, stdout, stderr } = await start(entry(action), env, options);
  const read = (name: string): string => (existsSync(join(temp, name)) ? readFileSync(join(temp, name), 'utf8') : '');
  if (read('env') !== '' || read('path') !== '') throw new Error('the Action leaks settings into later steps');
  return { code, stdout, stderr, outputs: parseFileCommand(read('output')), summary: read('summary'), temp };
}

export function cleanUp(result: RunnerResult): void {
  rmSync(result.temp, { recursive: true, force: true });
}

/** The bundle that action.yml names, where it is built (MIXGATE_BUNDLE=1 insists on it, =0 takes the source). */
export function entry(action: ActionFile = actionFile()): string {
  const bundle = join(ROOT, action.runs.main);
  const wish = process.env['MIXGATE_BUNDLE'];
  if (wish === '1' || (wish !== '0' && existsSync(bundle))) return bundle;
  return join(ROOT, 'src/action.ts');
}

function start(
  program: string,
  env: Record<string, string | undefined>,
  options: RunnerOptions,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const clean = Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined));
    const child = spawn(process.execPath, [program], {
      cwd: options.workspace,
      env: clean,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 50_000,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      options.started?.((signal) => child.kill(signal), stdout);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** `name<<delimiter`, lines, delimiter: the format of GITHUB_OUTPUT. */
function parseFileCommand(text: string): Record<string, string> {
  const outputs: Record<string, string> = {};
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const match = /^(?<name>[^<=]+)<<(?<delimiter>.+)$/.exec(lines[index]!);
    if (match === null) continue;
    const end = lines.indexOf(match.groups!['delimiter']!, index + 1);
    outputs[match.groups!['name']!] = lines.slice(index + 1, end).join('\n');
    index = end;
  }
  return outputs;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { readonly body?: string };
}

export interface FakeGitHub extends AsyncDisposable {
  readonly url: string;
  readonly calls: Call[];
  readonly comments: { id: number; body: string; user: { login: string; type: string }; html_url: string }[];
  /** Answers this status (once for each entry) to the next requests of the method. */
  readonly failures: { method: string; status: number; message: string; headers?: Record<string, string> }[];
}

/** The comments of one pull request, as api.github.com serves them, on a loopback port. */
export async function fakeGitHub(): Promise<FakeGitHub> {
  const state: Pick<FakeGitHub, 'calls' | 'comments' | 'failures'> = { calls: [], comments: [], failures: [] };
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => answer(state, request, response, text));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    ...state,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

function answer(
  state: Pick<FakeGitHub, 'calls' | 'comments' | 'failures'>,
  request: IncomingMessage,
  response: ServerResponse,
  text: string,
): void {
  const url = new URL(request.url ?? '/', 'http://loopback');
  const body = (text === '' ? {} : JSON.parse(text)) as { body?: string };
  state.calls.push({ method: request.method ?? '', path: url.pathname, authorization: request.headers.authorization, body });
  const send = (status: number, value: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  };
  const failure = state.failures.findIndex((item) => item.method === request.method);
  if (failure >= 0) {
    const [item] = state.failures.splice(failure, 1);
    send(item!.status, { message: item!.message }, item!.headers);
    return;
  }
  const list = /^\/repos\/acme\/fleet\/issues\/7\/comments$/.test(url.pathname);
  const one = /^\/repos\/acme\/fleet\/issues\/comments\/(?<id>\d+)$/.exec(url.pathname);
  if (request.method === 'GET' && list) {
    const [page, size] = [Number(url.searchParams.get('page') ?? 1), Number(url.searchParams.get('per_page') ?? 30)];
    send(200, state.comments.slice((page - 1) * size, page * size));
    return;
  }
  if (request.method === 'POST' && list) {
    if ((body.body ?? '').length > 65_536) {
      send(422, { message: 'Body is too long (maximum is 65536 characters)' });
      return;
    }
    const comment = {
      id: 1000 + state.comments.length,
      body: body.body ?? '',
      user: { login: 'github-actions[bot]', type: 'Bot' },
      html_url: `https://github.example/acme/fleet/pull/7#issuecomment-${1000 + state.comments.length}`,
    };
    state.comments.push(comment);
    send(201, comment);
    return;
  }
  const found = state.comments.find((item) => item.id === Number(one?.groups?.['id']));
  if (request.method === 'PATCH' && found !== undefined) {
    found.body = body.body ?? '';
    send(200, found);
    return;
  }
  send(404, { message: 'Not Found' });
}
