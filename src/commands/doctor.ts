import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isMixgateError } from '../core/errors.ts';
import { cacheRoot } from '../tools/cache.ts';
import { packageRoot, packageVersion } from '../tools/package-root.ts';
import { TOOL_PINS, type ToolName } from '../tools/pins.ts';
import { resolveTool } from '../tools/resolve.ts';
import { openGit } from '../workspace/git.ts';
import type { CommandSpec, Invocation } from './framework.ts';

interface Check {
  readonly name: string;
  readonly state: 'ok' | 'missing' | 'note';
  readonly detail: string;
}

export const command: CommandSpec = {
  name: 'doctor',
  summary: 'show what is installed, which version, from where, and what is missing',
  options: {
    install: { type: 'boolean', description: 'install what is missing (download with a pinned hash, else build from source)' },
    only: {
      type: 'string',
      value: 'TOOL',
      multiple: true,
      choices: Object.keys(TOOL_PINS),
      description: 'look at this tool only; repeatable',
    },
  },
  examples: [
    { command: 'mixgate doctor', does: 'look, change nothing' },
    { command: 'mixgate doctor --format json', does: 'the same for a program: name, state and detail of each check' },
    { command: 'mixgate doctor --install', does: 'get the pinned opa, k6 and kustomize' },
  ],
  async run(invocation) {
    const wanted = invocation.options.strings('only');
    const tools = (Object.keys(TOOL_PINS) as ToolName[]).filter((name) => wanted.length === 0 || wanted.includes(name));
    const checks: Check[] = [];
    // One after the other: two builds at once on a small machine take longer than in turn.
    for (const name of tools) checks.push(await checkTool(name, invocation));
    if (wanted.length === 0) checks.unshift(...(await surroundings(invocation)));
    const missing = checks.filter((check) => check.state === 'missing');
    const exitCode = missing.length > 0 ? 3 : 0;
    if (invocation.options.string('format') === 'json') return { text: `${JSON.stringify({ checks }, null, 2)}\n`, exitCode };
    const width = Math.max(...checks.map((check) => check.name.length));
    const lines = checks.map((check) => `${check.state.padEnd(7)} ${check.name.padEnd(width)}  ${check.detail}`);
    if (missing.length > 0)
      lines.push(
        '',
        `${missing.length} missing. ${invocation.options.boolean('install') ? 'See above.' : 'Run `mixgate doctor --install`.'}`,
      );
    return { text: `${lines.join('\n')}\n`, exitCode };
  },
};

async function checkTool(name: ToolName, invocation: Invocation): Promise<Check> {
  try {
    const tool = await resolveTool(name, {
      progress: invocation.progress,
      signal: invocation.signal,
      env: invocation.env,
      install: invocation.options.boolean('install'),
    });
    const from = {
      flag: `from MIXGATE_${name.toUpperCase()}`,
      path: 'from PATH',
      cache: 'from the cache',
      download: 'downloaded, hash verified',
      build: 'built from source, pinned by go.sum',
    }[tool.source];
    return { name, state: 'ok', detail: `${tool.version} ${from}: ${tool.path}` };
  } catch (error) {
    if (!isMixgateError(error)) throw error;
    return { name, state: 'missing', detail: error.message };
  }
}

async function surroundings(invocation: Invocation): Promise<Check[]> {
  const major = Number(process.versions.node.split('.')[0]);
  const checks: Check[] = [
    { name: 'mixgate', state: 'ok', detail: `${packageVersion()} in ${packageRoot()}` },
    {
      name: 'node',
      state: major >= 20 ? 'ok' : 'missing',
      detail: `${process.versions.node}: ${process.execPath}${major >= 24 ? '' : ' (the runtime and the tests need 24; `npm run setup` gets it)'}`,
    },
    {
      name: 'cache',
      state: 'note',
      detail: `${cacheRoot(invocation.env)} (Go keeps its own module and build caches, about 2 GB after building the tools)`,
    },
    await version('git', ['--version']),
    await version('go', ['version'], 'only needed where a tool cannot be downloaded'),
  ];
  try {
    const git = await openGit(invocation.dir);
    const shallow = await git.isShallow();
    checks.push({
      name: 'repository',
      state: shallow ? 'note' : 'ok',
      detail: `${git.root}${shallow ? ' is a shallow clone: fetch its history to compare with a base' : ''}`,
    });
    const there = existsSync(join(invocation.dir, invocation.config));
    checks.push({
      name: 'config',
      state: there ? 'ok' : 'note',
      detail: there ? invocation.config : `no ${invocation.config} in ${invocation.dir}: \`mixgate init\` writes one`,
    });
  } catch (error) {
    if (!isMixgateError(error)) throw error;
    checks.push({ name: 'repository', state: 'note', detail: error.problems[0]!.message });
  }
  return checks;
}

async function version(program: string, args: string[], without?: string): Promise<Check> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: 10_000 });
    return { name: program, state: 'ok', detail: stdout.trim().split('\n')[0]! };
  } catch {
    return {
      name: program,
      state: without === undefined ? 'missing' : 'note',
      detail: without === undefined ? 'not found on PATH' : `not found on PATH (${without})`,
    };
  }
}
