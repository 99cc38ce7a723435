// Tries downloads with URLs that a hostile server made. Reads {urls} as JSON on stdin. For each URL, prints what the
// browser opened, or the code of the error.

import { json } from 'node:stream/consumers';

import { download } from '../../web/page/stored.js';

const { urls } = await json(process.stdin);
let opened;
globalThis.document = { createElement: () => ({ click() { opened = this.href; } }) };
const outcomes = {};
for (const Url of urls) {
  opened = undefined;
  const at = { ways: {}, client: () => ({ ask: async () => ({ Url }) }) };
  outcomes[Url] = await download(at, 'p/', 'p/a.txt', 'a.txt').then(() => opened, ({ code }) => ({ code, opened }));
}
console.log(JSON.stringify(outcomes));
