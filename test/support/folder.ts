import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A temporary folder, removed after the tests of the file or `describe` that makes it. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-test-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
