// Opens the page of dist/web on static hosting. Alice signs in, chooses a file, and signs out. Then bob signs in. At
// the end, bob enters the address of another server. Reads {folder, server, alice, bob, chromium} as JSON on stdin.
// Prints {own, left, reloaded, others, stolen, asked} as JSON. `own`, `left`, `reloaded` and `others` say, each at
// another moment, whether the page shows the file of alice. `stolen` has the Authorization headers that the other
// server got. `asked` is the number of requests that the other server got, without those of the method OPTIONS.

import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import { filesOf, withPage } from './page.mjs';

const NAME = 'private.jpg';

const job = await json(process.stdin);
const stolen = [];
let asked = 0;
const stranger = createServer((request, response) => {
  asked += request.method !== 'OPTIONS';
  if (request.headers.authorization) stolen.push(request.headers.authorization);
  response.writeHead(200, {
    'access-control-allow-origin': '*',
    'access-control-allow-headers': 'authorization, content-type',
    'content-type': 'application/json',
  });
  response.end(JSON.stringify({ StatusCode: 401, ErrorCode: 'MissingToken', ErrorMessage: 'no login' }));
});
await new Promise((listening) => stranger.listen(0, '127.0.0.1', listening));

const seen = await withPage(job.chromium, await filesOf(job.folder), async (page) => {
  const use = async (server) => {
    await page.fill('#server', server);
    await page.click('#server-form button');
    await page.locator('#login').waitFor();
  };
  const give = async (login, user) => {
    await page.fill('#login', login);
    await page.click('#give-login button');
    await page.locator('#who', { hasText: user }).waitFor();
    await page.locator('#scope dd', { hasText: `/${user}/` }).waitFor();
  };
  const isSeen = async () => {
    await page.waitForTimeout(1000); // the store writes changes twice a second
    return (await page.locator('#uploader').innerText()).includes(NAME);
  };
  await use(job.server);
  await give(job.alice, 'alice');
  await page.setInputFiles('#file-input', { name: NAME, mimeType: 'image/jpeg', buffer: Buffer.alloc(9, 7) });
  const own = await isSeen();
  await page.click('#sign-out');
  await page.locator('#login').waitFor();
  const left = await isSeen();
  await page.reload();
  await page.locator('#login').waitFor();
  const reloaded = await isSeen();
  await give(job.bob, 'bob');
  const others = await isSeen();
  await use(`http://127.0.0.1:${stranger.address().port}/`);
  return { own, left, reloaded, others };
});
stranger.close();
console.log(JSON.stringify({ ...seen, stolen, asked }));
