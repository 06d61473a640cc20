// A Vulkan device without a GPU: Mesa's llvmpipe, from the system or from Debian's packages in the tool cache. Never skipped: without it the
// tests of the Vulkan engine fail and say what is missing.
import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from '../../src/tools/cache.ts';
import { debianPackages } from './debian.ts';

const ICD_FOLDER = 'usr/share/vulkan/icd.d';
const LOADER = 'libvulkan.so.1';

/** Where one installation keeps the loader, the driver and the driver's description; undefined where a part is missing. */
function installation(root: string): { readonly libraries: string; readonly driver: string } | undefined {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const libraries = join(root, `usr/lib/${machine}-linux-gnu`);
  const folder = join(root, ICD_FOLDER);
  const described = existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('lvp_icd'));
  const driver = join(libraries, 'libvulkan_lvp.so');
  return described && existsSync(join(libraries, LOADER)) && existsSync(driver) ? { libraries, driver } : undefined;
}

function found(): { readonly libraries: string; readonly driver: string } {
  const system = installation('/');
  if (system !== undefined) return system;
  const home = join(cacheRoot(), 'mesa-debian');
  try {
    debianPackages({ home, packages: ['libvulkan1', 'mesa-vulkan-drivers'], present: ICD_FOLDER, dependencies: true });
  } catch (cause) {
    throw new Error(
      'The tests of the Vulkan engine need a software Vulkan device: install mesa-vulkan-drivers and libvulkan1, or run where `apt-get install --download-only` of them works (Debian, Ubuntu; `apt-get update` first).',
      { cause },
    );
  }
  const own = installation(home);
  if (own === undefined) throw new Error(`${home} is not complete: remove it and run the set-up again (npm test)`);
  return own;
}

/** The environment of a process that shall find that device, and no other. */
export function softwareVulkan(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const { libraries, driver } = found();
  const description = join(mkdtempSync(join(tmpdir(), 'mixgate-vulkan-')), 'llvmpipe.json');
  writeFileSync(
    description,
    JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: driver, api_version: '1.1.0' } }),
  );
  return {
    LD_LIBRARY_PATH: [libraries, env['LD_LIBRARY_PATH']].filter(Boolean).join(':'),
    // The loader's old name of the variable and its new one (1.3.207).
    VK_ICD_FILENAMES: description,
    VK_DRIVER_FILES: description,
    // ggml leaves out devices that are a CPU unless they are named.
    GGML_VK_VISIBLE_DEVICES: '0',
    // The driver's threads would take the cores that the tests share.
    LP_NUM_THREADS: '1',
    // Compiled shaders, kept from run to run.
    MESA_SHADER_CACHE_DIR: join(cacheRoot(), 'mesa-shaders'),
  };
}

/** For set-up: has it ready before any test starts. */
export async function ensureSoftwareVulkan(): Promise<void> {
  found();
}
