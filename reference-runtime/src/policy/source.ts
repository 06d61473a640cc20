// Where policy bundles come from. A source gives a bundle, or says that nothing changed since it was asked last.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../../src/core/errors.ts';
import { readBounded } from '../../../src/core/read-bounded.ts';
import type { PolicySourceConfig } from '../config/types.ts';
import { type Bundle, BundleError, bundleFromArchive, loadBundle, MAX_BUNDLE_BYTES } from './bundle.ts';
import { SourceAway } from './bundle-error.ts';

/** One place to get the policy from. */
export interface PolicySource {
  readonly name: string;
  /** The current bundle; undefined: the same as last time. @throws SourceAway, BundleError */
  fetch(): Promise<Bundle | undefined>;
}

/** The source that a configuration describes. `cache` is a folder for a Git mirror; the system's temporary one by default. */
export function policySource(config: PolicySourceConfig, cache: string | undefined): PolicySource {
  if (config.url !== undefined) return httpSource({ ...config, url: config.url });
  if (config.git !== undefined) return gitSource({ ...config, git: config.git }, cache ?? tmpdir());
  const bundle = config.bundle ?? '';
  return { name: config.name, fetch: () => loadBundle(bundle, config.verify) };
}

const TIMEOUT_MS = 30_000;

/** A bundle service (OPA documentation, "Bundles: Bundle service API"): GET with If-None-Match. */
function httpSource({ name, url, tokenEnv, verify }: PolicySourceConfig & { url: string }): PolicySource {
  let etag: string | undefined;
  return {
    name,
    async fetch() {
      const token = tokenEnv === undefined ? undefined : process.env[tokenEnv];
      let response: Response;
      let bytes: Uint8Array;
      try {
        response = await fetch(url, {
          headers: {
            // What OPA tells a server that would send only what changed (OPA documentation, "Delta Bundles").
            prefer: 'modes=snapshot',
            ...(etag === undefined ? {} : { 'if-none-match': etag }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          // A redirect could carry the token elsewhere.
          redirect: 'error',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        if (response.status === 304 && etag !== undefined) return undefined;
        if (!response.ok) {
          await response.body?.cancel();
          throw new SourceAway(`${url}: HTTP ${response.status}`);
        }
        const tooLarge = (): BundleError => new BundleError(`${url}: larger than ${MAX_BUNDLE_BYTES} bytes`);
        bytes = await readBounded(response.body, MAX_BUNDLE_BYTES, tooLarge);
      } catch (error) {
        if (error instanceof BundleError) throw error;
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
        throw new SourceAway(`${url}: ${cause ?? messageOf(error)}`);
      }
      const bundle = await bundleFromArchive(bytes, url, verify);
      // Only a bundle that was good is not asked for again.
      etag = response.headers.get('etag') ?? undefined;
      return bundle;
    },
  };
}

/** The name of the repository in the mirror. */
const REMOTE = 'policy';

/** A bundle archive in a Git repository, at a ref. A shallow mirror is kept; the same commit is not read twice. */
function gitSource(
  { name, git, verify }: PolicySourceConfig & { git: NonNullable<PolicySourceConfig['git']> },
  cache: string,
): PolicySource {
  const { repository, ref, path } = git;
  // One a ref: FETCH_HEAD of a mirror that two runtimes share could be the other one's ref.
  const key = createHash('sha256').update(`${repository}\0${ref}`).digest('hex').slice(0, 16);
  const mirror = join(cache, `mixgate-policy-${key}.git`);
  const shown = withoutCredentials(repository);
  const where = `${shown} ${ref}:${path}`;
  // Of a repository as large as it likes only the one file comes, where its server can leave out the others (Git, partial clone).
  const inMirror = (args: string[]): Promise<Buffer> => run(['-C', mirror, '-c', `remote.${REMOTE}.url=${repository}`, ...args]);
  let commit: string | undefined;
  return {
    name,
    async fetch() {
      try {
        // A folder alone is what a process that was killed in between left.
        if (!existsSync(join(mirror, 'HEAD'))) {
          mkdirSync(mirror, { recursive: true });
          await run(['init', '--quiet', '--bare', mirror]);
        }
        await inMirror(['fetch', '--quiet', '--depth', '1', '--no-tags', '--filter=blob:none', REMOTE, ref]);
        const head = (await inMirror(['rev-parse', '--verify', 'FETCH_HEAD^{commit}'])).toString().trim();
        if (head === commit) return undefined;
        const archive = await inMirror(['cat-file', 'blob', `${head}:${path}`]);
        const bundle = await bundleFromArchive(archive, `${where} (${head.slice(0, 12)})`, verify);
        commit = head;
        return bundle;
      } catch (error) {
        if (error instanceof BundleError) throw error;
        throw new SourceAway(`${where}: ${messageOf(error).replaceAll(repository, shown)}`);
      }
    },
  };
}

/** A URL as everybody may see it: where a bundle is from is in the log, and in `/v1/policy` for every tenant. */
function withoutCredentials(repository: string): string {
  return repository.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*(?::[^/]*)?@/i, '$1');
}

/** What Git says went wrong, without the advice that it adds. */
function gitProblem(stderr: string): string | undefined {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^(?:fatal|error): /.test(line)) ?? lines.at(-1))?.trim();
}

function run(args: string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Nobody is there to be asked for a password or about a host's key.
    const env = { GIT_SSH_COMMAND: 'ssh -oBatchMode=yes', ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' };
    execFile(
      'git',
      ['-c', 'protocol.ext.allow=never', '-c', 'core.hooksPath=/dev/null', ...args],
      { encoding: 'buffer', env, maxBuffer: MAX_BUNDLE_BYTES, timeout: TIMEOUT_MS },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(gitProblem(stderr.toString('utf8')) ?? error.message));
      },
    );
  });
}
