// ali-oss in a page of Chromium: reads a job (see token_use.mjs, and `chromium`, the browser's
// path) as JSON on stdin, prints the outcomes and what the browser's console said as JSON.
// The page comes from a server here, so from an origin other than OSS's: CORS applies.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

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
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? [];
  response.writeHead(body ? 200 : 404, { 'content-type': `${type ?? 'text/plain'}; charset=utf-8` });
  response.end(body);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({
  executablePath: job.chromium,
  headless: true,
  args: ['--no-sandbox'], // root, as in a container, has none
});
try {
  const page = await browser.newPage();
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const outcomes = await page.evaluate(async (job) => {
    const { useToken } = await import('/token_use.mjs');
    return useToken(window.OSS, job, {
      blob: (bytes) => new Blob([bytes]),
      file: (bytes) => new File([bytes], 'video.mp4'),
    });
  }, job);
  console.log(JSON.stringify({ ...outcomes, console: said }));
} finally {
  await browser.close();
  server.close();
}
