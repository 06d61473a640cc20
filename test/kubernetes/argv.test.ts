import { describe, expect, it } from 'vitest';
import { modelServer, parseArgv } from '../../src/kubernetes/argv.ts';
import { isMoving, parseImage } from '../../src/kubernetes/image.ts';

describe('parseArgv: one map for every way to write flags', () => {
  const wanted = { model: 'm/x', 'tensor-parallel-size': '2', 'enable-lora': true };
  it.each([
    ['separate words', ['--model', 'm/x', '--tensor-parallel-size', '2', '--enable-lora']],
    ['joined by =', ['--model=m/x', '--tensor-parallel-size=2', '--enable-lora']],
    ['short names', ['--model', 'm/x', '-tp', '2', '--enable-lora']],
    ['underscores', ['--model', 'm/x', '--tensor_parallel_size=2', '--enable_lora']],
    ['a shell string', ['vllm serve m/x --tensor-parallel-size 2 --enable-lora']],
    ['a quoted shell string', ['vllm serve "m/x" --tensor-parallel-size \'2\' --enable-lora']],
    ['vllm serve as words', ['vllm', 'serve', 'm/x', '--tensor-parallel-size=2', '--enable-lora']],
  ])('%s', (_name, words) => {
    expect(parseArgv(words)).toEqual(wanted);
  });

  it('reads a shell line of a megabyte in bounded time', () => {
    expect(Object.keys(parseArgv([`x --a ${'"'.repeat(1_000_000)}`]))).toContain('a');
  });
});

describe('modelServer', () => {
  it.each([
    [{ image: 'vllm/vllm-openai:v0.11.0' }, 'vllm'],
    [{ image: 'lmsysorg/sglang:latest' }, 'sglang'],
    [{ image: 'ghcr.io/huggingface/text-generation-inference:3' }, 'tgi'],
    [{ image: 'python:3', command: ['sh', '-c', 'vllm serve x'] }, 'vllm'],
    [{ image: 'nginx:1' }, undefined],
  ])('%j → %s', (container, server) => {
    expect(modelServer(container)).toBe(server);
  });
});

describe('parseImage', () => {
  it.each([
    ['nginx', { repository: 'nginx', tag: undefined, digest: undefined }, true],
    ['nginx:latest', { repository: 'nginx', tag: 'latest', digest: undefined }, true],
    ['host:5000/a/b:v1', { repository: 'host:5000/a/b', tag: 'v1', digest: undefined }, false],
    ['host:5000/a/b', { repository: 'host:5000/a/b', tag: undefined, digest: undefined }, true],
    ['a/b:latest@sha256:00', { repository: 'a/b', tag: 'latest', digest: 'sha256:00' }, false],
  ])('%s', (text, parts, moving) => {
    expect(parseImage(text)).toEqual(parts);
    expect(isMoving(parseImage(text))).toBe(moving);
  });
});
