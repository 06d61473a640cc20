// Paired canary: one k6 process sends each prompt to baseline and candidate, in random order, one request at a time.
// First an A/A block (the baseline twice), which shows the noise. Samples leave through `--out json`; nothing is judged here.
//
// Environment: MIXGATE_PLAN = JSON file {seed, baseline, candidate, maxTokens, topLogprobs, stop, timeoutMs, score, iterations: [...], prompts: [...]}
// (written by `mixgate canary run`, see src/canary/run/plan.ts). Answers leave as metadata: they are checked after the run, not here.
import { sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';

const plan = JSON.parse(open(__ENV.MIXGATE_PLAN));

export const options = {
  scenarios: {
    paired: { executor: 'shared-iterations', vus: 1, iterations: plan.iterations.length, maxDuration: `${plan.maxDurationS}s` },
  },
  discardResponseBodies: false,
  summaryMode: 'disabled',
  // The answers of a model under test are not trusted with our time.
  httpDebug: '',
};

/** Pause before a pair; how late it ends shows whether the generator still has time to send and to measure. */
const PAUSE_MS = 5;

const METRICS = {};
for (const name of [
  'e2e_ms',
  'ttft_ms',
  'itl_ms',
  'queue_ms',
  'policy_ms',
  'tokens_per_s',
  'error',
  'fallback',
  'nll',
  'kld',
  'same_top',
  'rms_dp',
  'token_mismatch',
  'answer',
  'sample',
  'input_tokens',
  'answer_changed',
  'answer_tokens',
  'expert_slots',
  'token_dnll',
  'generator_lag_ms',
]) {
  METRICS[name] = new Trend(`mixgate_${name}`);
}

export default function () {
  const step = plan.iterations[exec.scenario.iterationInTest];
  const prompt = plan.prompts[step.prompt];
  exec.vu.metrics.metadata.pair = String(step.pair);
  exec.vu.metrics.metadata.prompt = prompt.id;
  const start = Date.now() + PAUSE_MS;
  sleep(PAUSE_MS / 1000);
  METRICS.generator_lag_ms.add(Math.max(0, Date.now() - start), { arm: 'generator', block: step.block });
  const answers = {};
  for (const [position, arm] of step.order.entries()) {
    const url = arm === 'candidate' && step.block !== 'aa' ? plan.candidate : plan.baseline;
    answers[arm] = visit(url, arm, step, prompt, position);
  }
  // The candidate would meet its first judged prompt colder than the baseline, which has just answered the A/A block twice.
  if (step.block === 'aa') visit(plan.candidate, 'candidate', Object.assign({}, step, { block: 'warmup' }), prompt, 2);
  if (answers.baseline && answers.candidate) compare(answers.baseline, answers.candidate, step, prompt);
}

function visit(url, arm, step, prompt, position) {
  const tags = Object.assign(groups(prompt), { arm, block: step.block, position: String(position) });
  const add = (name, value, more) => {
    if (typeof value === 'number' && Number.isFinite(value))
      METRICS[name].add(value, more ? Object.assign({}, tags, more) : tags);
  };
  const generated = post(
    url,
    Object.assign(
      { prompt: prompt.prompt, max_tokens: plan.maxTokens, temperature: 0, seed: plan.seed, stream: false },
      plan.stop.length > 0 ? { stop: plan.stop } : {},
    ),
    tags,
    prompt,
  );
  add('error', generated.ok ? 0 : 1, generated.ok ? undefined : { reason: generated.reason });
  if (!generated.ok) return undefined;
  const extra = generated.body.mixgate || {};
  const timings = extra.timings || {};
  add('e2e_ms', generated.ms);
  add('ttft_ms', timings.ttft_ms);
  add('queue_ms', timings.queue_ms);
  add('policy_ms', timings.policy_ms);
  const gaps = Array.isArray(timings.itl_ms) ? timings.itl_ms.filter((gap) => typeof gap === 'number') : [];
  if (gaps.length > 0) {
    const total = gaps.reduce((sum, gap) => sum + gap, 0);
    add('itl_ms', total / gaps.length);
    if (total > 0) add('tokens_per_s', (1000 * gaps.length) / total);
  }
  if ('fallback' in extra) add('fallback', extra.fallback === null ? 0 : 1);
  const usage = generated.body.usage || {};
  add('input_tokens', usage.prompt_tokens);
  add('answer_tokens', usage.completion_tokens);
  const text = String(generated.body.choices[0].text);
  if (plan.keepAnswers) addText('answer', text, tags);
  if (step.block === 'ab' && plan.sampling) {
    for (let index = 0; index < plan.sampling.samples; index += 1) {
      const drawn = post(
        url,
        Object.assign(
          {
            prompt: prompt.prompt,
            max_tokens: plan.maxTokens,
            temperature: plan.sampling.temperature,
            seed: plan.seed + index,
            stream: false,
          },
          plan.stop.length > 0 ? { stop: plan.stop } : {},
        ),
        tags,
        prompt,
      );
      if (drawn.ok) addText('sample', drawn.body.choices[0].text, tags);
    }
  }
  if (!plan.score) return { text };
  const scored = post(
    url,
    {
      prompt: prompt.prompt,
      max_tokens: 0,
      temperature: 0,
      seed: plan.seed,
      echo: true,
      logprobs: plan.topLogprobs,
      stream: false,
    },
    tags,
    prompt,
  );
  if (!scored.ok) {
    add('error', 1, { reason: `score: ${scored.reason}` });
    return undefined;
  }
  const logprobs = scored.body.choices[0].logprobs;
  const values = logprobs ? logprobs.token_logprobs : undefined;
  if (!Array.isArray(values)) return { text };
  const counted = values.filter((value) => typeof value === 'number' && Number.isFinite(value));
  if (counted.length > 0) add('nll', -counted.reduce((sum, value) => sum + value, 0) / counted.length);
  const moe = scored.body.mixgate?.moe;
  if (moe && Array.isArray(moe.layers)) {
    for (const layer of moe.layers) {
      for (const [expert, count] of layer.usage.entries())
        if (count > 0) add('expert_slots', count, { layer: String(layer.layer), expert: String(expert) });
    }
  }
  return { text, tokens: logprobs.tokens, logprobs: values, top: logprobs.top_logprobs, experts: moe ? moe.experts : undefined };
}

/** What a prompt belongs to: each of these gets its own verdicts. */
function groups(prompt) {
  const tags = { segment: prompt.segment };
  for (const name of ['domain', 'language', 'task']) if (prompt[name]) tags[name] = prompt[name];
  return tags;
}

/** A text as metadata of one point, whose value is its length in UTF-16 units. */
function addText(name, text, tags) {
  if (typeof text !== 'string') return;
  exec.vu.metrics.metadata.text = text.slice(0, 16384);
  METRICS[name].add(text.length, tags);
  delete exec.vu.metrics.metadata.text;
}

function post(url, body, tags, prompt) {
  const response = http.post(`${url}/v1/completions`, JSON.stringify(Object.assign({ model: plan.model }, body)), {
    headers: Object.assign(
      {
        'content-type': 'application/json',
        'x-mixgate-include': 'timings,moe,experts',
        'x-mixgate-task': prompt.task || 'completion',
        'x-mixgate-segment': prompt.segment || '',
      },
      plan.headers,
      prompt.headers,
    ),
    timeout: `${plan.timeoutMs}ms`,
    tags: { arm: tags.arm, block: tags.block, name: body.echo ? 'score' : 'generate' },
  });
  if (response.error_code !== 0 && response.status === 0)
    return { ok: false, reason: response.error || `error ${response.error_code}` };
  if (response.status !== 200) return { ok: false, reason: `HTTP ${response.status}` };
  try {
    const parsed = JSON.parse(response.body);
    if (!Array.isArray(parsed.choices) || parsed.choices.length === 0) return { ok: false, reason: 'no choices in the answer' };
    return { ok: true, body: parsed, ms: response.timings.duration };
  } catch {
    return { ok: false, reason: 'the answer is not JSON' };
  }
}

/** Divergence of the two arms on the same prompt, token by token. */
function compare(baseline, candidate, step, prompt) {
  const tags = Object.assign(groups(prompt), { arm: 'pair', block: step.block });
  // Both arms decode greedily: the same model gives the same text.
  METRICS.answer_changed.add(baseline.text === candidate.text ? 0 : 1, tags);
  if (!baseline.tokens || !candidate.tokens) return;
  const same =
    baseline.tokens.length === candidate.tokens.length &&
    baseline.tokens.every((token, index) => token === candidate.tokens[index]);
  METRICS.token_mismatch.add(same ? 0 : 1, tags);
  if (!same) return;
  const divergences = [];
  let agree = 0;
  for (let index = 0; index < baseline.tokens.length; index += 1) {
    const [p, q] = [baseline.top?.[index], candidate.top?.[index]];
    if (!p || !q) continue;
    divergences.push(divergence(p, q));
    agree += best(p) === best(q) ? 1 : 0;
  }
  const n = divergences.length;
  if (n > 0) {
    // Each token's divergence goes along: the 99.9 % quantile of a run is not made of means.
    exec.vu.metrics.metadata.tokens = divergences.map((value) => value.toFixed(5)).join(' ');
    METRICS.kld.add(divergences.reduce((sum, value) => sum + value, 0) / n, tags);
    delete exec.vu.metrics.metadata.tokens;
    METRICS.same_top.add(agree / n, tags);
  }
  const shifts = [];
  for (let index = 0; index < baseline.logprobs.length; index += 1) {
    const [before, after] = [baseline.logprobs[index], candidate.logprobs[index]];
    if (typeof before === 'number' && typeof after === 'number') shifts.push((Math.exp(after) - Math.exp(before)) ** 2);
  }
  if (shifts.length > 0) METRICS.rms_dp.add(Math.sqrt(shifts.reduce((sum, value) => sum + value, 0) / shifts.length), tags);
  // Change of each token's negative log-likelihood beside the experts the baseline used for it. The logits at position i
  // predict token i + 1: an expert answers for the NEXT token's likelihood. One point a prompt: the tokens travel as metadata.
  if (!Array.isArray(baseline.experts)) return;
  const tokens = [];
  let total = 0;
  for (let index = 0; index + 1 < baseline.logprobs.length; index += 1) {
    const [before, after] = [baseline.logprobs[index + 1], candidate.logprobs[index + 1]];
    const layers = baseline.experts[index];
    if (typeof before !== 'number' || typeof after !== 'number' || !Array.isArray(layers)) continue;
    tokens.push(
      `${(before - after).toFixed(4)}:${layers.map((chosen) => (chosen || []).join('+')).join(',')}:${(-before).toFixed(4)}`,
    );
    total += before - after;
  }
  if (tokens.length === 0) return;
  exec.vu.metrics.metadata.tokens = tokens.join(' ');
  METRICS.token_dnll.add(total / tokens.length, tags);
  delete exec.vu.metrics.metadata.tokens;
}

/**
 * Kullback-Leibler divergence in nats over the union of the two top-N lists, with everything else as one remainder: a
 * lower bound of the full divergence (data processing inequality). A token missing from one list gets the smallest
 * probability that list shows, or less where the remainder is smaller.
 */
function divergence(p, q) {
  const names = Object.keys(Object.assign({}, p, q));
  const floor = (list) => Math.min(...Object.values(list).map((value) => Math.exp(value)));
  const [floorP, floorQ] = [floor(p), floor(q)];
  const weight = (list, name, least, rest) => (name in list ? Math.exp(list[name]) : Math.min(least, rest));
  const mass = (list) => Object.values(list).reduce((sum, value) => sum + Math.exp(value), 0);
  const [restP, restQ] = [Math.max(1e-12, 1 - mass(p)), Math.max(1e-12, 1 - mass(q))];
  let total = 0;
  let [usedP, usedQ] = [0, 0];
  for (const name of names) {
    const [a, b] = [weight(p, name, floorP, restP), weight(q, name, floorQ, restQ)];
    usedP += a;
    usedQ += b;
    if (a > 0) total += a * Math.log(a / Math.max(b, 1e-12));
  }
  const [leftP, leftQ] = [Math.max(1e-12, 1 - usedP), Math.max(1e-12, 1 - usedQ)];
  return Math.max(0, total + leftP * Math.log(leftP / leftQ));
}

function best(list) {
  let name;
  for (const key of Object.keys(list)) if (name === undefined || list[key] > list[name]) name = key;
  return name;
}
