/** What a rule's page says, for formats that carry rule descriptions. */
export interface RuleHelp {
  /** One sentence. */
  readonly summary: string;
  /** The page, in Markdown. */
  readonly markdown: string;
}

/** Everything a reporter may be told besides the report. All of it is optional; reporters do no I/O of their own. */
export interface RenderOptions {
  /** text: ANSI colours. */
  readonly color?: boolean | undefined;
  /** text: columns of the terminal, default 100. */
  readonly width?: number | undefined;
  /** Folder of the GitOps repository inside the Git repository (`deploy/fleet`), put in front of every path on GitHub. */
  readonly pathPrefix?: string | undefined;
  /** Contents of the files that findings point into, by finding path: for SARIF regions and fingerprints. */
  readonly files?: ReadonlyMap<string, string> | undefined;
  readonly rules?: ReadonlyMap<string, RuleHelp> | undefined;
  /** sarif: makes the run's category unique, e.g. one per matrix leg. */
  readonly category?: string | undefined;
  /** Where files and runs can be looked at, for links. */
  readonly links?:
    | { readonly repositoryUrl: string; readonly commit?: string | undefined; readonly runUrl?: string | undefined }
    | undefined;
}
