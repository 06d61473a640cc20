import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { compareRouter, type RouterReference } from '../../training/router-parity.ts';

const models = new URL('../../models/', import.meta.url);

test('router decisions traced inside llama.cpp are those that PyTorch computed from the same weights', async () => {
  const reference = JSON.parse(readFileSync(new URL('reference-router.json', models), 'utf8')) as RouterReference;
  const parity = await compareRouter(fileURLToPath(new URL('mixtral-micro-q8_0.gguf', models)), reference);
  expect(parity.token_layers).toBe(reference.token_layers);
  expect(parity.equal_choices / parity.token_layers).toBeGreaterThan(0.98);
  // llama.cpp rounds activations to 8 bits: choices may differ only where two experts are almost tied.
  expect(parity.largest_margin_of_a_difference).toBeLessThan(0.03);
  expect(parity.median_difference).toBeLessThan(0.005);
  expect(parity.p99_difference).toBeLessThan(0.04);
});
