// Downloads MODEL_URL to MODEL_FILE, which appears under that name only when its SHA-256 is MODEL_SHA256. A file that is there and right is
// left alone; a download that broke goes on where it broke, if the server can (Range, RFC 9110 section 14).
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const { MODEL_URL: url, MODEL_SHA256: wanted, MODEL_FILE: file, MODEL_TOKEN: token } = process.env;
const part = `${file}.part`;

/** @param {string} path */
async function digestOf(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function fetchModel() {
  if (!/^[0-9a-f]{64}$/.test(wanted ?? '') || /^0+$/.test(wanted))
    throw new Error('MODEL_SHA256 is not a digest: write the SHA-256 of the file that you looked at into kustomization.yaml');
  if (existsSync(file)) {
    if ((await digestOf(file)) === wanted) return `${file} is there already`;
    throw new Error(`${file} is there and has another digest than MODEL_SHA256: delete it, or correct the digest`);
  }
  const have = existsSync(part) ? statSync(part).size : 0;
  const answer = await fetch(url, {
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(have > 0 ? { range: `bytes=${have}-` } : {}) },
  });
  // 416: there is no more of it; whether it is right, the digest says.
  if (!answer.ok && answer.status !== 416) throw new Error(`${url} answers ${answer.status} ${answer.statusText}`);
  if (answer.ok)
    await pipeline(Readable.fromWeb(answer.body), createWriteStream(part, { flags: answer.status === 206 ? 'a' : 'w' }));
  const digest = await digestOf(part);
  if (digest !== wanted) {
    rmSync(part);
    throw new Error(`${url} has the SHA-256 ${digest}, not ${wanted}: nothing was kept`);
  }
  renameSync(part, file);
  return `${file} has the digest ${wanted}`;
}

try {
  console.log(await fetchModel());
} catch (error) {
  const cause = error.cause?.code ?? error.cause?.message;
  console.error(`fetch: ${error.message}${cause === undefined ? '' : ` (${cause})`}`);
  process.exitCode = 1;
}
