// Preloaded into a server and its engine (NODE_OPTIONS=--import): on SIGUSR2 it collects garbage, gives free pages back, and appends what is left
// to a file. What V8 has not collected yet says nothing about leaks, and how large it lets its heap grow in between depends on the machine.
import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const { MIXGATE_HEAP_PROBE: file, MIXGATE_MALLOC_PROBE: addon } = process.env;
if (file !== undefined && addon !== undefined) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const holder = { exports: {} };
  process.dlopen(holder, addon);
  process.on('SIGUSR2', () => {
    // What finalizers let go of in the first pass is collected in the second.
    collect();
    setImmediate(() => {
      collect();
      const native = holder.exports.used();
      const { rss, heapUsed } = process.memoryUsage();
      appendFileSync(file, `${JSON.stringify({ pid: process.pid, rss, held: heapUsed + native })}\n`);
    });
  });
}
