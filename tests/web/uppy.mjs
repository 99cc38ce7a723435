// Runs the real @uppy/aws-s3 with the options of docs/resumable-uploads.md, unchanged, in a page in Chromium. Reads
// {code, multipartUrl, login, files: [{name, type, size}], breakAt, chromium} as JSON on stdin. `breakAt` is the
// number of a part whose first request gets no answer. Prints JSON with four members: Uppy's result for each file,
// the parts that were sent, how many random UUIDs the page made, and the names of the entries that it still keeps.

import { json } from 'node:stream/consumers';

import { build } from 'esbuild';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const bundled = await build({
  stdin: {
    contents: "import AwsS3 from '@uppy/aws-s3'; import Uppy from '@uppy/core';"
      + ' window.Uppy = Uppy; window.AwsS3 = AwsS3;',
    resolveDir: import.meta.dirname,
  },
  bundle: true,
  format: 'iife',
  write: false,
  logLevel: 'error',
});
const files = {
  '/': ['text/html', '<!doctype html><title>Uppy</title><script src="/uppy.js"></script>'],
  '/uppy.js': ['text/javascript', bundled.outputFiles[0].contents],
};

const use = async ({ code, multipartUrl, login, files }) => {
  let uuids = 0;
  crypto.randomUUID = () => `uuid-${(uuids += 1)}`;
  const ask = async (wishes) => {
    const headers = { Authorization: `Bearer ${login}`, 'Content-Type': 'application/json' };
    const body = JSON.stringify(wishes);
    const answer = await (await fetch(multipartUrl, { method: 'POST', headers, body })).json();
    if (answer.StatusCode !== 200) throw new Error(answer.ErrorMessage);
    return answer;
  };
  const uppy = new window.Uppy();
  uppy.use(window.AwsS3, new Function(`${code}; return resumable;`)()(uppy, ask));
  for (const { name, type, size } of files) {
    uppy.addFile({ name, type, data: new Blob([new Uint8Array(size).fill(7)], { type }) });
  }
  const outcome = ({ successful, failed }) => ({
    successful: successful.map(({ name, response }) => ({ name, key: response.body.key })),
    failed: failed.map(({ name, error }) => ({ name, error })),
  });
  const first = outcome(await uppy.upload());
  const retried = first.failed.length ? outcome(await uppy.retryAll()) : null;
  return { first, retried, uuids, kept: Object.keys(localStorage) };
};

const outcome = await withPage(job.chromium, files, async (page) => {
  const parts = [];
  let isBroken = false;
  await page.route(/partNumber=/, async (route) => {
    const number = Number(new URL(route.request().url()).searchParams.get('partNumber'));
    if (route.request().method() === 'PUT') parts.push(number);
    if (number !== job.breakAt || isBroken) return route.continue();
    isBroken = route.request().method() === 'PUT';
    return isBroken ? route.fulfill({ status: 400, headers: { 'access-control-allow-origin': '*' } })
                    : route.continue();
  });
  return { ...(await page.evaluate(use, job)), parts };
});
console.log(JSON.stringify(outcome));
