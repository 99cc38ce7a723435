// Sends signed PUTs from a page in Chromium. Reads a job {puts: [{url, headers, size, type, by}],
// chromium} as JSON on stdin, and prints the status of each PUT as JSON. If the page
// cannot read the status, 0 is printed. `by` is "fetch" or "xhr". The body is a Blob of `size` bytes.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const files = { '/': ['text/html', '<!doctype html><title>Upload</title>'] };
const statuses = await withPage(job.chromium, files, (page) =>
  page.evaluate(async (puts) => {
    const byFetch = async ({ url, headers, body }) =>
      (await fetch(url, { method: 'PUT', headers, body })).status;
    const byXhr = ({ url, headers, body }) =>
      new Promise((done, failed) => {
        const request = new XMLHttpRequest();
        request.open('PUT', url);
        for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
        request.onload = () => done(request.status);
        request.onerror = failed;
        request.send(body);
      });
    const made = [];
    for (const { url, headers, size, type, by } of puts) {
      const body = new Blob(['x'.repeat(size)], { type });
      const send = by === 'xhr' ? byXhr : byFetch;
      made.push(await send({ url, headers, body }).catch(() => 0));
    }
    return made;
  }, job.puts),
);
console.log(JSON.stringify({ statuses }));
