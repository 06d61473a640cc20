import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { parseYaml } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';
import { writeWhole } from '../workspace/write-whole.ts';

/**
 * Writes the digest and size of a real model file into its metadata; comments stay.
 * @returns the digest, `sha256:...`
 */
export async function stampModelDigest(metadataFile: string, modelFile: string): Promise<string> {
  const source = parseYaml(await readFile(metadataFile, 'utf8'), metadataFile);
  const size = await stat(modelFile).catch((cause: unknown) => {
    throw new ConfigurationError({ message: 'the model file cannot be read.', location: { file: modelFile } }, { cause });
  });
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(modelFile)) hash.update(chunk as Buffer);
  const digest = `sha256:${hash.digest('hex')}`;
  source.yaml.setIn(['artifact', 'digest'], digest);
  source.yaml.setIn(['artifact', 'bytes'], size.size);
  await writeWhole(metadataFile, source.yaml.toString({ lineWidth: 0 }));
  return digest;
}
