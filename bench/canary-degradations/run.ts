// node bench/canary-degradations/run.ts collect|truth|judge|table [--only KIND] [--again] [--limit N]
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../scripts/demo/shell.ts';
import { collect, measureTruth, recordFile, truthFile } from './collect.ts';
import { judgeAll, selected } from './judge.ts';
import { document, line } from './table.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, again: { type: 'boolean' }, limit: { type: 'string' } },
});

switch (positionals[0]) {
  case 'collect': {
    const wanted = selected(values.only).filter((tried) => values.again === true || !existsSync(recordFile(tried)));
    for (const tried of wanted.slice(0, Number(values.limit ?? wanted.length))) {
      const record = await collect(tried);
      process.stdout.write(
        `${tried.id}: ${record.seconds.toFixed(1)} s${record.aborted === undefined ? '' : `, ${record.aborted}`}\n`,
      );
    }
    break;
  }
  case 'truth':
    for (const tried of selected(values.only).filter((one) => values.again === true || !existsSync(truthFile(one)))) {
      const truth = await measureTruth(tried);
      process.stdout.write(`${tried.id}: ${truth.beyond ? 'beyond' : 'within'} its margins, ${truth.how}\n`);
    }
    break;
  case 'judge':
    for (const judged of await judgeAll(values.only)) process.stdout.write(`${line(judged)}\n`);
    break;
  case 'table':
    await writeFile(join(ROOT, 'docs/degradations.md'), document(await judgeAll(), await judgeAll('clean', 0.25)));
    break;
  default:
    process.stderr.write('node bench/canary-degradations/run.ts collect|truth|judge|table [--only KIND] [--again] [--limit N]\n');
    process.exitCode = 2;
}
