import { CONFIG_FILE } from '../../config/load.ts';

export const WORKFLOW_FILE = '.github/workflows/mixgate.yml';

/** A fleet in a folder of the repository has a workflow of its own, beside those of other folders. */
export function workflowFile(folder: string): string {
  return folder === '' ? WORKFLOW_FILE : WORKFLOW_FILE.replace(/\.yml$/, `-${tagOf(folder)}.yml`);
}

/** Tells fleets apart: names of workflows and concurrency groups, comments, categories of code scanning. */
function tagOf(folder: string): string {
  return folder.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^-|-$/g, '');
}

/**
 * The workflow of README.md, with the Action that the user keeps.
 * @param folder of the fleet inside the repository; '' is its root
 */
export function workflowTemplate(action: string, config: string, folder = ''): string {
  const name = folder === '' ? 'mixgate' : `mixgate-${tagOf(folder)}`;
  const given = [
    ...(config === CONFIG_FILE ? [] : [`config: ${JSON.stringify(config)}`]),
    ...(folder === '' ? [] : [`working-directory: ${JSON.stringify(folder)}`, `comment-tag: ${tagOf(folder)}`]),
  ];
  const inputs = given.length === 0 ? '' : `\n        with:\n          ${given.join('\n          ')}`;
  return `name: ${name}
on:
  pull_request:
  merge_group:
permissions:
  contents: read
  pull-requests: write
  security-events: write
concurrency:
  group: ${name}-\${{ github.ref }}
  cancel-in-progress: \${{ github.event_name == 'pull_request' }}
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          fetch-depth: 0
          persist-credentials: false
      - id: mixgate
        uses: ${action}${inputs}
      - if: always() && steps.mixgate.outputs.sarif-path != '' && (!github.event.pull_request || github.event.pull_request.head.repo.full_name == github.repository)
        uses: github/codeql-action/upload-sarif@9e907b5e64f6b83e7804b09294d44122997950d6 # v4.32.3
        with:
          sarif_file: \${{ steps.mixgate.outputs.sarif-path }}
          category: ${name}
`;
}
