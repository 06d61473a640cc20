// An OpenAI-compatible server of the test's own that calls tools as a model would: in pieces, two calls side by side, and after the tools'
// answers a text made of them.
import { chunk, type Stub, startStub } from './stub.ts';

interface Message {
  role: string;
  content?: unknown;
  tool_call_id?: string;
}

export const USAGE = {
  prompt_tokens: 31,
  completion_tokens: 12,
  prompt_tokens_details: { cached_tokens: 16 },
  completion_tokens_details: { reasoning_tokens: 4 },
};

/** Pieces of an answer that calls `weather` for two cities, the second call begun before the first is whole. */
export const CALLING: object[] = [
  { role: 'assistant', content: '' },
  { reasoning_content: 'Two cities, ' },
  { reasoning_content: 'two calls.' },
  { content: 'Let me ' },
  { content: 'look.' },
  { tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }] },
  { tool_calls: [{ index: 0, function: { arguments: '{"city": "Zü' } }] },
  { tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{"ci' } }] },
  {
    tool_calls: [
      { index: 0, function: { arguments: 'rich"}' } },
      { index: 1, function: { arguments: 'ty": "Bern"}' } },
    ],
  },
];

export const CALLS = [
  { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city": "Zürich"}' } },
  { id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{"city": "Bern"}' } },
];

/** Starts it. */
export function startToolServer(): Promise<Stub> {
  const stub = startStub(async (response) => {
    const { messages = [], tools } = ((await stub).calls.at(-1)?.body ?? {}) as { messages?: Message[]; tools?: unknown };
    const answers = messages
      .filter(({ role }) => role === 'tool')
      .map(({ tool_call_id, content }) => `${tool_call_id}: ${content}`);
    const deltas =
      answers.length === 0 && tools !== undefined ? CALLING : [{ role: 'assistant', content: answers.join(', ') || 'none' }];
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const delta of deltas) response.write(chunk({ choices: [{ index: 0, delta, finish_reason: null }] }));
    const reason = deltas === CALLING ? 'tool_calls' : 'stop';
    response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }));
    response.end(`${chunk({ choices: [], usage: USAGE })}data: [DONE]\n\n`);
  });
  return stub;
}
