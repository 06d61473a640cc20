import { CONFIG_FILE } from '../../config/load.ts';

export const WORKFLOW_FILE = '.github/workflows/mixgate.yml';

/** The workflow of README.md, with the Action that the user keeps. */
export function workflowTemplate(action: string, config: string): string {
  const inputs = config === CONFIG_FILE ? '' : `\n        with:\n          config: ${JSON.stringify(config)}`;
  return `name: mixgate
on:
  pull_request:
  merge_group:
permissions:
  contents: read
  pull-requests: write
  security-events: write
concurrency:
  group: mixgate-\${{ github.ref }}
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
      - if: always() && steps.mixgate.outputs.sarif-path != '' && github.event.pull_request.head.repo.fork != true
        uses: github/codeql-action/upload-sarif@9e907b5e64f6b83e7804b09294d44122997950d6 # v4.32.3
        with:
          sarif_file: \${{ steps.mixgate.outputs.sarif-path }}
          category: mixgate
`;
}
