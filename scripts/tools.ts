/** Installs the pinned tools; silent when they are there. `--test` adds what only the tests need. */
import { isMixgateError } from '../src/core/errors.ts';
import { TEST_TOOL_PINS, TOOL_PINS } from '../src/tools/pins.ts';
import { resolveTool } from '../src/tools/resolve.ts';

const progress = {
  step: (text: string) => void process.stderr.write(`mixgate set-up: ${text}\n`),
  warn: () => undefined,
  fraction: () => undefined,
};

try {
  for (const name of Object.keys(TOOL_PINS)) await resolveTool(name, { progress });
  if (process.argv.includes('--test')) {
    for (const name of Object.keys(TEST_TOOL_PINS)) await resolveTool(name, { progress });
    const { ensurePrometheus } = await import('../test/support/prometheus.ts');
    await ensurePrometheus();
    const { ensureSoftwareVulkan } = await import('../test/support/vulkan.ts');
    if (`${process.platform}-${process.arch}` === 'linux-x64') await ensureSoftwareVulkan();
  }
} catch (error) {
  if (!isMixgateError(error)) throw error;
  process.stderr.write(`mixgate set-up: ${error.message}\n`);
  process.exit(3);
}
