/**
 * The external programs mixgate runs, pinned. A SHA-256 stands here only where several independent public projects pin
 * the same value for the release file; a platform without one is built from source, where the committed go.sum pins
 * every byte.
 */
export interface ToolPin {
  readonly name: string;
  readonly version: string;
  /** `go build` package, in the module of tools/<name>/. */
  readonly goPackage: string;
  /** The module in tools/<name>/go.mod whose version the tool has, where the package is our own `main`. */
  readonly versionModule?: string;
  /** Printed by `<tool> <args>`; the first match of `pattern` is its version. */
  readonly versionCommand: readonly string[];
  readonly versionPattern: RegExp;
  readonly releases: { readonly [platform: string]: ReleaseFile };
  readonly usualBuildTime: string;
}

export interface ReleaseFile {
  readonly url: string;
  readonly sha256: string;
  /** Path of the program inside a .tar.gz; absent when the file is the program itself. */
  readonly member?: string;
  /** Where the hash is from. */
  readonly hashSource: string;
}

export const TOOL_PINS = {
  opa: {
    name: 'opa',
    version: '1.21.1',
    goPackage: 'github.com/open-policy-agent/opa',
    versionCommand: ['version'],
    versionPattern: /^Version: (?<version>\S+)/m,
    usualBuildTime: '1.5 to 3 minutes on 2 cores',
    releases: {
      'linux-x64': {
        url: 'https://github.com/open-policy-agent/opa/releases/download/v1.21.1/opa_linux_amd64_static',
        sha256: '668506eb17a2eaa1fce6cc0d1f42ef85125d4ac5bda5fc74d1152d0c77145031',
        hashSource: 'eight independent public projects pin this value',
      },
      'linux-arm64': {
        url: 'https://github.com/open-policy-agent/opa/releases/download/v1.21.1/opa_linux_arm64_static',
        sha256: '9a1f3625529c6f01240fe68286dde06aa0b23c5253da700ac48f4d943ff8a4de',
        hashSource: 'one public project pins this value',
      },
    },
  },
  k6: {
    name: 'k6',
    version: '2.2.0',
    goPackage: 'go.k6.io/k6/v2',
    versionCommand: ['version'],
    versionPattern: /k6(?:\.exe)? v(?<version>\d+\.\d+\.\d+)/,
    usualBuildTime: '1 to 3 minutes on 2 cores',
    releases: {
      'linux-x64': {
        url: 'https://github.com/grafana/k6/releases/download/v2.2.0/k6-v2.2.0-linux-amd64.tar.gz',
        sha256: 'b5a8003c86f35f5cd5ceef1490312c48e587696c94d998cefc6d7b3b4cb1597d',
        member: 'k6-v2.2.0-linux-amd64/k6',
        hashSource: 'three independent public projects pin this value',
      },
    },
  },
  kustomize: {
    name: 'kustomize',
    version: '5.8.1',
    goPackage: 'sigs.k8s.io/kustomize/kustomize/v5',
    versionCommand: ['version'],
    versionPattern: /v(?<version>\d+\.\d+\.\d+)/,
    usualBuildTime: '15 to 60 seconds on 2 cores',
    releases: {},
  },
} as const satisfies { readonly [name: string]: ToolPin };

export type ToolName = keyof typeof TOOL_PINS;

/** What only the tests of this repository run: `npm test` installs it, `mixgate doctor` does not ask for it. */
export const TEST_TOOL_PINS = {
  otelcol: {
    name: 'otelcol',
    version: '0.165.0',
    goPackage: '.',
    versionModule: 'go.opentelemetry.io/collector/otelcol',
    versionCommand: ['--version'],
    // A distribution of ours: another one of the same version on PATH may lack a component.
    versionPattern: /^mixgate-otelcol version (?<version>\S+)/m,
    usualBuildTime: '1 to 3 minutes on 2 cores',
    releases: {},
  },
} as const satisfies { readonly [name: string]: ToolPin };
