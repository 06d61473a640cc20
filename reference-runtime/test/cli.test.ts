import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { microModel, randomModel, temporary } from './support/models.ts';

const BIN = fileURLToPath(new URL('../bin/mixgate-runtime.mjs', import.meta.url));
const dir = temporary();
afterAll(dir.remove);

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Starts a server and waits for the line that says where. */
function serve(...args: string[]): Promise<{ url: string; child: ChildProcess; ended: Promise<Outcome> }> {
  const child = spawn(process.execPath, [BIN, 'serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const ended = new Promise<Outcome>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (data) => {
      stderr += data;
      const url = /^listening on (http:\S+)$/m.exec(stderr)?.[1];
      if (url !== undefined) resolve({ url, child, ended });
    });
    void ended.then((outcome) => reject(new Error(outcome.stderr)));
  });
}

describe('help and usage', () => {
  it('lists the verbs', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    for (const verb of ['serve', 'health', 'evaluate', 'trace', 'variant']) expect(stdout).toContain(`mixgate-runtime ${verb}`);
  });
  it('says its version and that of the engine', async () => {
    const { code, stdout } = await run('--version');
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^mixgate-runtime \d+\.\d+\.\d+ \(node-llama-cpp \d+\.\d+\.\d+\)\n$/),
    ]);
  });
  it.each(['serve', 'health', 'evaluate', 'trace', 'variant'])('%s --help has examples', async (verb) => {
    const { code, stdout } = await run(verb, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}mixgate-runtime/);
  });

  const model = randomModel(dir.file('usage.gguf'));
  it.each<[string, string[], number, RegExp]>([
    ['no verb', [], 2, /^$/],
    ['an unknown verb', ['sreve'], 2, /unknown command sreve; known: serve, health, evaluate, trace, variant/],
    ['an unknown flag', ['serve', '--dve'], 2, /Unknown option '--dve'; known flags: --config, --dev/],
    ['neither configuration nor --dev', ['serve'], 2, /--config FILE or --dev is needed/],
    ['both', ['serve', '--dev', '--config', 'x'], 2, /exclude each other/],
    ['a configuration that is not there', ['serve', '--config', dir.file('no.yaml')], 2, /no such file/],
    ['a port that is none', ['serve', '--dev', '--port', '70000'], 2, /--port 70000: expected an integer from 0 to 65535/],
    ['a model that is not there', ['serve', '--dev', '--model', dir.file('no.gguf')], 2, /--model: no such file/],
    [
      'a model that is no GGUF',
      ['serve', '--dev', '--port', '0', '--model', BIN],
      3,
      /not a GGUF file: the first four bytes are not "GGUF" \(at byte 0\)/,
    ],
    [
      'an unknown kind',
      ['variant', '--model', model, '--out', dir.file('x'), '--kind', 'melt'],
      2,
      /--kind melt: expected one of expert-corrupt/,
    ],
    ['a missing --out', ['variant', '--model', model, '--kind', 'rebuild'], 2, /--out is needed/],
    [
      'out over in',
      ['variant', '--model', model, '--out', model, '--kind', 'rebuild'],
      2,
      /a variant never replaces its original/,
    ],
    [
      'a layer beyond the model',
      ['variant', '--model', model, '--out', dir.file('x'), '--kind', 'expert-zero', '--layer', '9', '--expert', '0'],
      2,
      /this model has 2 layers/,
    ],
    [
      'a folder that cannot be written',
      ['variant', '--model', model, '--out', dir.file('no/such/x.gguf'), '--kind', 'rebuild'],
      3,
      /ENOENT/,
    ],
    ['a corpus that is not there', ['evaluate', '--model', model, '--corpus', dir.file('no')], 2, /--corpus: no such file/],
    ['an empty corpus', ['evaluate', '--model', model, '--corpus', dir.path], 2, /no .txt, .ndjson or .jsonl file/],
    ['no prompt', ['trace', '--model', model], 2, /--prompt is needed/],
    [
      'another format',
      ['trace', '--model', model, '--prompt', 'x', '--format', 'xml'],
      2,
      /--format xml: expected one of text, json/,
    ],
  ])('%s', async (_name, args, expected, message) => {
    const { code, stderr } = await run(...args);
    expect(stderr).toMatch(new RegExp(message.source, 'm'));
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(expected);
    expect(existsSync(dir.file('x'))).toBe(false);
  });
});

describe('variant', () => {
  it('writes the file and says what it changed', async () => {
    const out = dir.file('corrupt.gguf');
    const { code, stdout } = await run(
      'variant',
      '--model',
      microModel(),
      '--out',
      out,
      '--kind',
      'expert-corrupt',
      '--layer',
      '3',
      '--expert',
      '5',
      '--seed',
      '2',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      out,
      kind: 'expert-corrupt',
      changed: ['blk.3.ffn_down_exps.weight'],
      detail: 'layer 3, expert 5: 192 of 192 rows of the down projection permuted',
    });
    expect(readFileSync(out).length).toBeGreaterThan(5_000_000);
    expect(readdirSync(dir.path).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('trace', () => {
  it('prints a row per token and a column per layer', async () => {
    const { code, stdout } = await run('trace', '--model', microModel(), '--prompt', 'def main():', '--threads', '1');
    expect(code).toBe(0);
    const [header, ...lines] = stdout.trim().split('\n');
    expect(header).toMatch(/^pos {2}token +layer 0 +layer 1 +layer 2 +layer 3$/);
    expect(lines[0]).toMatch(/^0 +"<s>"( +\d:[ \d]+ \d:[ \d]+){4}$/);
  });
  it('prints JSON with full probabilities', async () => {
    const { stdout } = await run(
      'trace',
      '--model',
      microModel(),
      '--prompt',
      'Der',
      '--max-tokens',
      '2',
      '--format',
      'json',
      '--threads',
      '1',
    );
    const body = JSON.parse(stdout) as {
      layers: number;
      tokens: Array<{ text: string; layers: Array<{ probabilities: number[] }> }>;
    };
    expect(body.layers).toBe(4);
    for (const token of body.tokens) expect(token.layers.map((layer) => layer.probabilities.length)).toEqual([8, 8, 8, 8]);
  });
});

describe('evaluate', () => {
  it('reports perplexity by segment and expert that add up', async () => {
    const corpus = dir.file('corpus');
    mkdirSync(join(corpus, 'de'), { recursive: true });
    writeFileSync(join(corpus, 'de', 'a.txt'), 'Klicken Sie auf die Datei. '.repeat(30));
    writeFileSync(
      join(corpus, 'mixed.ndjson'),
      `${JSON.stringify({ segment: 'code', prompt: 'def main():\n    return 1\n' })}\n${JSON.stringify({ text: 'The Congress shall have power.' })}\n`,
    );
    const { code, stdout } = await run(
      'evaluate',
      '--model',
      microModel(),
      '--corpus',
      corpus,
      '--window',
      '60',
      '--threads',
      '1',
    );
    expect(code).toBe(0);
    interface Figures {
      tokens: number;
      perplexity: number;
      layers: Array<{ layer: number; experts: Array<{ tokens: number; usage: number }> }>;
    }
    const report = JSON.parse(stdout) as { total: Figures; segments: Record<string, Figures> };
    expect(Object.keys(report.segments).sort()).toEqual(['code', 'de', 'mixed']);
    expect(report.total.tokens).toBe(Object.values(report.segments).reduce((sum, segment) => sum + segment.tokens, 0));
    expect(report.segments['de']?.perplexity).toBeGreaterThan(1);
    for (const segment of Object.values(report.segments)) {
      expect(segment.layers.map((layer) => layer.layer)).toEqual([0, 1, 2, 3]);
      // Every scored token used two experts in every layer.
      for (const layer of segment.layers)
        expect(layer.experts.reduce((sum, expert) => sum + expert.tokens, 0)).toBe(2 * segment.tokens);
    }
  });
  it('says which line of a corpus is broken', async () => {
    const corpus = dir.file('broken');
    mkdirSync(corpus);
    writeFileSync(join(corpus, 'x.ndjson'), '{"text": "fine"}\n{broken\n');
    const { code, stderr } = await run('evaluate', '--model', microModel(), '--corpus', corpus);
    expect(code).toBe(2);
    expect(stderr).toMatch(/x\.ndjson:2: not JSON/);
  });
});

describe('serve', () => {
  it('--dev serves the shipped model on loopback and drains on SIGTERM', async () => {
    const { url, child, ended } = await serve('--dev', '--port', '0', '--threads', '1');
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'The', max_tokens: 300, stream: true }),
    });
    const reader = response.body?.getReader();
    await reader?.read();
    child.kill('SIGTERM');
    // The running stream is served to its end.
    let last = '';
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
      last = new TextDecoder().decode(step.value);
    expect(last).toMatch(/data: \[DONE\]\n\n$/);
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    expect(stdout).toBe('');
  });

  it('asks for the policy again on SIGHUP', async () => {
    const { url, child, ended } = await serve(
      '--dev',
      '--port',
      '0',
      '--threads',
      '1',
      '--model',
      randomModel(dir.file('hup.gguf')),
    );
    const policy = async (): Promise<{ activated_at: string; confirmed_at: string }> =>
      (await (await fetch(`${url}/v1/policy`)).json()) as { activated_at: string; confirmed_at: string };
    const before = await policy();
    child.kill('SIGHUP');
    for (let attempt = 0; attempt < 200 && (await policy()).confirmed_at === before.confirmed_at; attempt++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    // The same bundle is confirmed, not activated once more.
    const after = await policy();
    expect(after.confirmed_at).not.toBe(before.confirmed_at);
    expect(after.activated_at).toBe(before.activated_at);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  it('says that a kind of GPU does not work here, and does not serve on the CPU instead', async () => {
    const { code, stderr } = await run('serve', '--dev', '--port', '0', '--gpu', 'metal');
    expect(code).toBe(3);
    expect(stderr).toBe('mixgate-runtime serve: no llama.cpp with metal support works here: this platform has none\n');
  });

  it('says that a port is taken before it looks at the model, which may take minutes to load', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    writeFileSync(dir.file('broken.gguf'), 'no model');
    const { code, stderr } = await run(
      'serve',
      '--dev',
      '--port',
      String(port),
      '--threads',
      '1',
      '--model',
      dir.file('broken.gguf'),
    );
    holder.close();
    expect(code).toBe(3);
    expect(stderr).toMatch(new RegExp(`^mixgate-runtime serve: port ${port} of 127\\.0\\.0\\.1 is in use .*--port`));
  });
});
