// What `docker run` (or Podman's) has to be told so that a container is to the image what the Deployment's is.

/** The parts of a rendered Deployment that say how its container runs. */
export interface PodTemplate {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number };
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly emptyDir?: { readonly sizeLimit?: string };
    readonly configMap?: object;
  }[];
}

interface Container {
  readonly args: readonly string[];
  readonly ports: readonly { readonly containerPort: number }[];
  readonly securityContext: {
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[] };
  };
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
}

interface Probe {
  readonly httpGet: { readonly path: string };
}

const UNITS: { readonly [suffix: string]: number } = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** Bytes of a memory quantity as these manifests write it (`512Mi`). @throws Error for another form */
export function bytes(quantity: string): number {
  const match = /^(?<number>\d+)(?<unit>Ki|Mi|Gi)$/.exec(quantity);
  if (match === null) throw new Error(`${quantity}: expected a number of Ki, Mi or Gi`);
  return Number(match.groups!['number']) * UNITS[match.groups!['unit']!]!;
}

/**
 * Flags of `run` for the first container: its user, its root, its capabilities, its memory, and its volumes. An emptyDir is a tmpfs of
 * that size that anyone may write to, as the kubelet makes it; a config map is the folder that `folders` names for it.
 * @throws Error when a volume is of another kind
 */
export function runFlags(pod: PodTemplate, folders: ReadonlyMap<string, string>): string[] {
  const [container] = pod.containers;
  const { runAsUser, runAsGroup } = pod.securityContext;
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container!.securityContext;
  const mounts = container!.volumeMounts.flatMap(({ name, mountPath, readOnly }) => {
    const volume = pod.volumes.find((each) => each.name === name);
    const folder = folders.get(name);
    if (volume?.configMap !== undefined && folder !== undefined)
      return ['--mount', `type=bind,source=${folder},destination=${mountPath}${readOnly === true ? ',readonly' : ''}`];
    if (volume?.emptyDir?.sizeLimit !== undefined)
      return ['--mount', `type=tmpfs,destination=${mountPath},tmpfs-mode=1777,tmpfs-size=${bytes(volume.emptyDir.sizeLimit)}`];
    throw new Error(`the volume ${name} of ${mountPath} is neither a config map nor an emptyDir with a size`);
  });
  return [
    ...['--user', `${runAsUser}:${runAsGroup}`],
    ...(readOnlyRootFilesystem ? ['--read-only'] : []),
    ...capabilities.drop.flatMap((name) => ['--cap-drop', name]),
    ...(allowPrivilegeEscalation ? [] : ['--security-opt', 'no-new-privileges']),
    ...['--memory', String(bytes(container!.resources.limits.memory))],
    ...mounts,
  ];
}
