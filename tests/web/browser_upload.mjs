// Runs ali-oss in a page in Chromium. Reads a job (see token_use.mjs; `chromium` is the browser's
// path) as JSON on stdin. Prints the outcomes and the messages of the browser's console as JSON.
// The page comes from a server of this script, so it has another origin than OSS, and CORS applies.

import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const here = (path) => readFile(new URL(path, import.meta.url));
const files = {
  '/': ['text/html', '<!doctype html><title>Upload</title><script src="/ali-oss.js"></script>'],
  '/ali-oss.js': [
    'text/javascript',
    await here('node_modules/ali-oss/dist/aliyun-oss-sdk.min.js'),
  ],
  '/token_use.mjs': ['text/javascript', await here('token_use.mjs')],
};

const job = await json(process.stdin);
const said = [];
const listen = (page) => {
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
};
const use = (page) =>
  page.evaluate(async (job) => {
    const { useToken } = await import('/token_use.mjs');
    return useToken(window.OSS, job, {
      blob: (bytes) => new Blob([bytes]),
      file: (bytes) => new File([bytes], 'video.mp4'),
    });
  }, job);
const outcomes = await withPage(job.chromium, files, use, listen);
console.log(JSON.stringify({ ...outcomes, console: said }));
