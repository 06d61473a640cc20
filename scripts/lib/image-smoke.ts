// An image as a cluster would run it: started with what its Deployment says and nothing more, used, and ended while it works.
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { renderFolder } from '../../src/kubernetes/render.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { type PodTemplate, runFlags } from './image-run.ts';

const MANIFESTS = join(import.meta.dirname, '../../reference-runtime/deploy/kubernetes');
const START_LIMIT_MS = 120_000;
/** A tenant that the image's own policy knows. */
const TENANT = 'dev';

export interface SmokeOptions {
  /** `docker` or `podman`. */
  readonly engine: string;
  readonly tag: string;
  /** More flags of its `run`. */
  readonly flags: readonly string[];
}

/** What the CPU overlay deploys. */
async function deployed(): Promise<{ pod: PodTemplate; config: string }> {
  const context = { tool: (name: string) => resolveTool(name), signal: new AbortController().signal };
  const objects = (await renderFolder(folderTree(MANIFESTS), 'overlays/cpu', context)).map(({ value }) => value);
  const of = (kind: string): { [key: string]: unknown } => objects.find((value) => value['kind'] === kind)!;
  const { template } = of('Deployment')['spec'] as { template: { spec: PodTemplate } };
  return { pod: template.spec, config: (of('ConfigMap')['data'] as { 'runtime.yaml': string })['runtime.yaml'] };
}

/** A JWT of the issuer that the overlay names (RFC 7515, ES256). */
function token(key: KeyObject): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'https://issuer.example.com',
    aud: 'mixgate-runtime',
    sub: 'smoke',
    tenant: TENANT,
    iat: now,
    exp: now + 600,
  };
  const text = `${part({ alg: 'ES256', kid: 'smoke' })}.${part(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Runs every check, prints a line each, and says whether all hold. */
export async function smoke({ engine, tag, flags }: SmokeOptions): Promise<boolean> {
  const { pod, config } = await deployed();
  const [container] = pod.containers;
  const work = mkdtempSync(join(tmpdir(), 'mixgate-smoke-'));
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const folders = new Map(['config', 'jwks'].map((name) => [name, mkdtempSync(join(work, `${name}-`))]));
  writeFileSync(join(folders.get('config')!, 'runtime.yaml'), config);
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'smoke', alg: 'ES256', use: 'sig' };
  writeFileSync(join(folders.get('jwks')!, 'jwks.json'), JSON.stringify({ keys: [jwk] }));
  for (const folder of [work, ...folders.values()]) chmodSync(folder, 0o755);
  const port = container!.ports[0]!.containerPort;
  const name = `mixgate-smoke-${process.pid}`;
  const hostNetwork = flags.some(
    (flag, index) => flag === '--network=host' || (flag === '--network' && flags[index + 1] === 'host'),
  );
  const say = (...args: string[]): string =>
    execFileSync(engine, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  let failed = 0;
  const check = (what: string, holds: boolean, detail = ''): void => {
    if (!holds) failed += 1;
    process.stdout.write(`${holds ? 'ok    ' : 'FAILED'} ${what}${detail === '' ? '' : `: ${detail}`}\n`);
  };
  try {
    const more = [
      // Podman would add writable folders of its own to a read-only root.
      ...(engine === 'podman' ? ['--read-only-tmpfs=false'] : []),
      ...(hostNetwork ? [] : ['--publish', `127.0.0.1::${port}`]),
    ];
    say('run', '--detach', '--name', name, ...runFlags(pod, folders), ...more, ...flags, tag, ...container!.args);
    const base = hostNetwork ? `http://127.0.0.1:${port}` : `http://${say('port', name, String(port)).trim().split('\n')[0]}`;
    const started = performance.now();
    let ready = false;
    while (!ready && performance.now() - started < START_LIMIT_MS) {
      ready = await fetch(base + container!.startupProbe.httpGet.path).then(
        ({ ok }) => ok,
        () => false,
      );
      if (!ready) await sleep(200);
    }
    check('starts and is ready by its startup probe', ready, `${((performance.now() - started) / 1000).toFixed(1)} s`);
    if (!ready) return false;
    for (const probe of ['readinessProbe', 'livenessProbe'] as const) {
      const { path } = container![probe].httpGet;
      check(`answers its ${probe} ${path}`, (await fetch(base + path)).status === 200);
    }
    const health = spawnSync(engine, [
      'exec',
      name,
      'node',
      '/app/reference-runtime/src/cli.ts',
      'health',
      '--config',
      '/etc/mixgate/runtime.yaml',
    ]);
    check('is healthy by its HEALTHCHECK', health.status === 0);
    const status = say('exec', name, 'cat', '/proc/1/status');
    const field = (key: string): string => new RegExp(`^${key}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split('\t')[0] ?? '';
    check('process 1 has the user of the Deployment', field('Uid') === String(pod.securityContext.runAsUser), field('Uid'));
    check(
      'process 1 has no capability, and can gain none',
      /^0+$/.test(field('CapEff') + field('CapBnd')) && field('NoNewPrivs') === '1',
    );
    const metrics = await (await fetch(`${base}/metrics`)).text();
    check('has router tracing', /^moe_trace_available(\{.*\})? 1$/m.test(metrics));
    const ask = (more: object, headers: object = {}): Promise<Response> =>
      fetch(`${base}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ model: 'mixtral-micro', prompt: 'The Congress shall', ...more }),
      });
    const authorization = { authorization: `Bearer ${token(privateKey)}` };
    check('refuses a request without identity', (await ask({ max_tokens: 1 })).status === 401);
    const streamed = await (await ask({ max_tokens: 8, stream: true }, authorization)).text();
    check('streams a completion', streamed.endsWith('data: [DONE]\n\n') && streamed.includes('"finish_reason":"length"'));
    const log = say('exec', name, 'cat', '/var/log/mixgate/decisions.ndjson');
    check('writes its decision log to its volume', log.includes('"allow":true') && log.trim().split('\n').length >= 1);
    // The root is a file system of its own: what is newer than process 1 in it was written there. Folders that its user may not read are
    // none that it could have written to.
    const find = ['find', '/', '-xdev', '-newer', '/proc/1/cmdline', '-type', 'f', '-not', '-path', '/proc/*'];
    const strays = spawnSync(engine, ['exec', name, ...find], { encoding: 'utf8' }).stdout;
    check('writes nothing outside its volumes', strays.trim() === '', strays.trim().split('\n').slice(0, 3).join(' '));
    const refused = spawnSync(engine, ['exec', name, 'touch', '/app/x', '/etc/x']);
    check('cannot write to its root', refused.status !== 0);
    const running = await ask({ max_tokens: 480, stream: true, temperature: 1, seed: 1 }, authorization);
    const reader = running.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value ?? '';
    const signalled = performance.now();
    say('kill', '--signal', 'TERM', name);
    for (let step = await reader.read(); !step.done; step = await reader.read()) text += step.value;
    check('ends a running stream to its end after SIGTERM', text.endsWith('data: [DONE]\n\n') && !text.includes('"error"'));
    const code = say('wait', name).trim();
    const seconds = (performance.now() - signalled) / 1000;
    check(
      'ends with code 0 within its grace period',
      code === '0' && seconds < pod.terminationGracePeriodSeconds,
      `${seconds.toFixed(1)} s`,
    );
  } finally {
    if (failed > 0) process.stdout.write(spawnSync(engine, ['logs', name], { encoding: 'utf8' }).stderr);
    spawnSync(engine, ['rm', '--force', name], { stdio: 'ignore' });
    rmSync(work, { recursive: true, force: true });
  }
  process.stdout.write(failed === 0 ? `${tag} runs as the Deployment runs it\n` : `${failed} checks of ${tag} failed\n`);
  return failed === 0;
}
