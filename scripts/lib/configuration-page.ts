/** The reference of every document that users write, as Markdown made from its JSON Schema. */

/** The part of JSON Schema that our schemas use. */
export interface SchemaNode {
  readonly $ref?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: { readonly [key: string]: SchemaNode };
  readonly additionalProperties?: boolean | SchemaNode;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly format?: string;
}

interface Row {
  readonly key: string;
  readonly type: string;
  readonly required: string;
  readonly description: string;
}

/** Other documents, in the order of the page: schema name, and which file it is. */
const DOCUMENTS: readonly { readonly schema: string; readonly heading: string; readonly file: string }[] = [
  { schema: 'waivers', heading: 'Waivers', file: 'the file that `waivers` of `mixgate.yaml` names' },
  { schema: 'domain', heading: 'Input domain', file: 'the file that `policy.domain` names' },
  { schema: 'model', heading: 'Model metadata', file: 'the files that `catalog.models` names' },
  { schema: 'pools', heading: 'Pools', file: 'the file that `catalog.pools` names' },
  { schema: 'flags', heading: 'Feature flags', file: 'the file that `catalog.flags` names' },
  { schema: 'canary-profile', heading: 'Canary profile', file: 'the file that `canary.profile` names' },
  { schema: 'promotion-environment', heading: 'Environment pin', file: 'the `path` of an entry of `promotion.environments`' },
  { schema: 'runtime', heading: 'Reference runtime', file: 'the file of `mixgate-runtime serve --config FILE`' },
];

/** `load` returns the schema of that name (`mixgate`, `runtime`, …). */
export function configurationPage(load: (name: string) => SchemaNode): string {
  const main = load('mixgate');
  const sections = Object.entries(main.properties ?? {}).filter(([, node]) => node.$ref !== undefined);
  const plain = { ...main, properties: Object.fromEntries(withoutSections(main)) };
  return [
    '# Configuration',
    '',
    '<!-- Written by scripts/docs.ts from schemas/: edit the schema, then run `node scripts/docs.ts`. -->',
    '',
    'Every document is checked against its schema before anything runs. A wrong value is an error with file, line and column;',
    'an unknown key is an error that lists the known ones. `[]` in a key stands for each entry of a list, `<name>` for a name',
    'of your choice. "Required" means: required where the part around it is there.',
    '',
    '`mixgate init` writes a `mixgate.yaml` for what a repository holds, and [the example fleet](../examples/fleet/mixgate.yaml)',
    'has one in use. In a pull request the configuration is read from the base of the change.',
    '',
    '- [mixgate.yaml](#mixgateyaml)',
    ...sections.map(([name]) => `  - [${name}](#${name})`),
    ...DOCUMENTS.map(({ heading }) => `- [${heading}](#${heading.toLowerCase().replaceAll(' ', '-')})`),
    '',
    '## mixgate.yaml',
    '',
    sentence(main.description),
    '',
    ...table(rowsOf(plain, '')),
    ...sections.flatMap(([name, node]) => {
      const schema = load(node.$ref!.replace('.schema.json', ''));
      return ['', `### ${name}`, '', sentence(schema.description), '', ...table(rowsOf(schema, name))];
    }),
    ...DOCUMENTS.flatMap(({ schema: name, heading, file }) => {
      const schema = load(name);
      return ['', `## ${heading}`, '', `In ${file}. ${sentence(schema.description)}`, '', ...table(rowsOf(schema, ''))];
    }),
    '',
  ].join('\n');
}

function withoutSections(main: SchemaNode): [string, SchemaNode][] {
  return Object.entries(main.properties ?? {}).filter(([, node]) => node.$ref === undefined);
}

/** Rows of everything below `node`, whose own key is `prefix`. */
function rowsOf(node: SchemaNode, prefix: string): Row[] {
  if (node.items !== undefined) return rowsOf(node.items, `${prefix}[]`);
  const rows: Row[] = [];
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    rows.push({
      key,
      type: typeOf(child),
      required: node.required?.includes(name) === true ? 'yes' : '',
      description: child.description ?? child.items?.description ?? '',
    });
    rows.push(...rowsOf(child, key), ...(child.oneOf ?? []).flatMap((choice) => rowsOf(choice, key)));
  }
  const others = node.additionalProperties;
  if (typeof others === 'object') rows.push(...rowsOf(others, prefix === '' ? '<name>' : `${prefix}.<name>`));
  return rows;
}

function typeOf(node: SchemaNode): string {
  if (node.const !== undefined) return literal(node.const);
  if (node.enum !== undefined) return node.enum.map(literal).join(', ');
  if (node.oneOf !== undefined) return node.oneOf.map(typeOf).join(' or ');
  if (node.type === 'array') return `list of ${typeOf(node.items ?? {})}`;
  if (node.type === 'object') {
    const others = node.additionalProperties;
    return typeof others === 'object' && node.properties === undefined ? `map to ${typeOf(others)}` : 'object';
  }
  const type = [node.type ?? 'any value'].flat().join(' or ');
  const format = node.format === undefined ? '' : ` (${node.format})`;
  return `${type}${range(node)}${format}`;
}

function range(node: SchemaNode): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = node;
  const parts = [
    ...(minimum === undefined ? [] : [`>= ${minimum}`]),
    ...(exclusiveMinimum === undefined ? [] : [`> ${exclusiveMinimum}`]),
    ...(maximum === undefined ? [] : [`<= ${maximum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`< ${exclusiveMaximum}`]),
  ];
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`;
}

function literal(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** A section's description as a sentence; keys keep theirs as the schema has it. */
function sentence(text = ''): string {
  const upper = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

function table(rows: readonly Row[]): string[] {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
  return [
    '| key | type | required | what it is |',
    '| --- | --- | --- | --- |',
    ...rows.map(({ key, type, required, description }) => `| \`${key}\` | ${cell(type)} | ${required} | ${cell(description)} |`),
  ];
}
