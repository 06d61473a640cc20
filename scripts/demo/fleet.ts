import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stampModelDigest } from '../../src/catalog/stamp.ts';
import { restampSnapshot } from '../../src/drift/stamp.ts';
import { must, ROOT } from './shell.ts';

/** The GitOps repository of the demo: a clone with a bare remote beside it. */
export interface FleetRepo {
  /** Working tree. */
  readonly dir: string;
  /** Bare remote. */
  readonly remote: string;
  git(...args: string[]): Promise<string>;
  commit(message: string): Promise<string>;
}

const IDENTITY = ['-c', 'user.name=Fleet Engineer', '-c', 'user.email=engineer@fleet.example'];

/** Makes the repository from examples/fleet and pushes it. Snapshots and the policy engines in them get the time of now: they are judged by age. */
export async function createFleet(work: string): Promise<FleetRepo> {
  const [dir, remote] = [join(work, 'fleet'), join(work, 'fleet.git')];
  await mkdir(dir, { recursive: true });
  const git = async (...args: string[]): Promise<string> =>
    (
      await must('git', [...IDENTITY, ...args], { cwd: dir, env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' } })
    ).stdout.trim();
  const commit = async (message: string): Promise<string> => {
    await git('add', '-A');
    await git('commit', '-q', '-m', message);
    return git('rev-parse', 'HEAD');
  };
  const repo: FleetRepo = { dir, remote, git, commit };
  await must('git', ['init', '-q', '--bare', '-b', 'main', remote], { cwd: work });
  await git('init', '-q', '-b', 'main');
  await git('remote', 'add', 'origin', remote);
  await cp(join(ROOT, 'examples/fleet'), dir, { recursive: true });
  await freshSnapshots(dir);
  const first = await commit('The fleet as it runs today');
  const pin = join(dir, 'promotion/environments/production.yaml');
  await writeFile(pin, (await readFile(pin, 'utf8')).replace(/^revision: .*$/m, `revision: ${first}`));
  await commit('Pin production');
  await git('push', '-q', '-u', 'origin', 'main');
  return repo;
}

/** Applies one of the changes of examples/fleet-changes on a new branch. */
export async function startBranch(repo: FleetRepo, branch: string, change: string): Promise<void> {
  await repo.git('checkout', '-q', '-b', branch, 'main');
  await cp(join(ROOT, 'examples/fleet-changes', change), repo.dir, { recursive: true });
  await freshSnapshots(repo.dir);
}

/**
 * Makes the good change name another version and model file: catalogue entry, digest and the `next` slot of every cluster. The
 * routing policy's data stay as they are: what they say of a slot is changed by those who own the policy.
 */
export async function nameVersion(repo: FleetRepo, version: string, model: string): Promise<void> {
  const template = join(ROOT, 'examples/fleet-changes/good/catalog/models/mixtral-micro-1.1.0.yaml');
  const entry = join(repo.dir, `catalog/models/mixtral-micro-${version}.yaml`);
  await writeFile(entry, (await readFile(template, 'utf8')).replaceAll('1.1.0', version));
  // Versions are never changed once they are on main.
  if (version !== '1.1.0') await repo.git('checkout', '-q', 'main', '--', 'catalog/models/mixtral-micro-1.1.0.yaml');
  await stampModelDigest(entry, model);
  for (const cluster of CLUSTERS)
    await edit(join(repo.dir, 'clusters', cluster, 'models.yaml'), (yaml) => yaml.replaceAll('1.1.0', version));
}

/** What the GitOps controllers do after a merge: the clusters run what main declares, and say so in new snapshots. */
export async function reconcile(repo: FleetRepo, version: string): Promise<void> {
  for (const cluster of CLUSTERS) {
    await edit(join(repo.dir, 'live', `${cluster}.yaml`), (yaml) =>
      yaml
        .replace(/(mixgate\.dev\/model-version: )\S+(\n\s+mixgate\.dev\/slot: next)/, `$1${version}$2`)
        .replace(/(name: \S+-cpu\n\s+weight: )100/, '$190')
        .replace(/(name: \S+-cpu-next\n\s+weight: )0/, '$110'),
    );
  }
  await freshSnapshots(repo.dir);
  await repo.commit('Snapshots of the clusters');
  await repo.git('push', '-q', 'origin', 'main');
}

const CLUSTERS = ['us-east', 'eu-west', 'ap-south'];

async function edit(file: string, change: (text: string) => string): Promise<void> {
  await writeFile(file, change(await readFile(file, 'utf8')));
}

async function freshSnapshots(dir: string): Promise<void> {
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  for (const cluster of CLUSTERS) await edit(join(dir, 'live', `${cluster}.yaml`), (yaml) => restampSnapshot(yaml, now));
}
