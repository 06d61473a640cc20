import { isLoopback } from '../../core/loopback.ts';
import { EXIT } from '../../core/verdict.ts';
import type { CommandOutcome, CommandSpec } from '../framework.ts';
import { checkRange, PROFILE, profileFlag } from './options.ts';

export const serveCommand: CommandSpec = {
  name: 'serve',
  summary: 'answer judgements over HTTP, for Argo Rollouts, Flagger, Spinnaker and others',
  details: `POST /api/v1/judge takes a case as \`judge --batch\` does; POST /judge is a remote judge of Kayenta; /api/v1/analysis (GET, POST) and
POST /api/v1/flagger query the Prometheus of --prometheus, and no other (bearer token in MIXGATE_PROMETHEUS_TOKEN).
GET /healthz and /metrics tell how it is, also while cases are judged: that is done in threads, with 8 cases waiting or judged at most (503 over
that), and 60 s and 1 GiB of heap for each (422 over that). It listens on loopback unless --host says otherwise. With MIXGATE_SERVE_TOKEN set, clients must send
it as bearer token (Argo Rollouts can; Flagger and Kayenta cannot: admit only them by a NetworkPolicy).`,
  options: {
    port: { type: 'integer', value: 'N', description: 'port; 0 takes a free one (default 8085)' },
    host: { type: 'string', value: 'HOST', description: 'address to listen on (default 127.0.0.1)' },
    profile: PROFILE,
    prometheus: { type: 'string', value: 'URL', description: 'base URL of the Prometheus that live analyses query' },
  },
  examples: [
    { command: 'mixgate canary serve', does: 'judge samples that clients send' },
    { command: 'mixgate canary serve --prometheus http://127.0.0.1:9090 --profile canary/profile.yaml', does: 'live analyses' },
  ],
  async run(invocation): Promise<CommandOutcome> {
    const { options } = invocation;
    const [port, host] = [options.number('port') ?? 8085, options.string('host') ?? '127.0.0.1'];
    checkRange('port', port, 'a whole number from 0 to 65535', (value) => value >= 0 && value <= 65_535);
    const { judgeServer } = await import('../../canary/serve/server.ts');
    const { listen } = await import('../../canary/serve/listen.ts');
    const { baseUrl } = await import('../../prometheus/api.ts');
    const { openWorkspace } = await import('../open-workspace.ts');
    const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
    const profile = (await profileFlag(invocation, workspace))?.profile;
    const prometheus = options.string('prometheus');
    if (prometheus !== undefined) baseUrl(prometheus);
    const server = judgeServer({
      prometheus,
      token: invocation.env['MIXGATE_PROMETHEUS_TOKEN'],
      loopback: isLoopback(host),
      clientToken: invocation.env['MIXGATE_SERVE_TOKEN'] || undefined,
      metrics: profile?.metrics ?? [],
      alpha: profile?.alpha,
      maxBodyBytes: 16 * 1024 * 1024,
      maxConcurrent: 16,
      now: Date.now,
    });
    return {
      stream: async (write) => {
        await listen(server, { host, port, signal: invocation.signal, ready: (url) => write(`listening on ${url}\n`) });
        return EXIT.ok;
      },
    };
  },
};
