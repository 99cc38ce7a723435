// Opens the page of dist/web from another server than the function, as on static hosting. It gives the page a login,
// stops an upload in parts in the middle, and reads everything that the page keeps or shows. Reads {folder, server,
// login, way, chromium} as JSON on stdin. Prints {sent, kept, shown, asked} as JSON. `sent` has the numbers of the
// parts that OSS answered, and `kept` is the browser's storage. `shown` is the text of the document and its fields, and
// `asked` has the requested URLs of the function.

import { json } from 'node:stream/consumers';

import { filesOf, withPage } from './page.mjs';

const PARTS = 4;

const job = await json(process.stdin);
const files = await filesOf(job.folder);

const storage = async () => {
  const opened = indexedDB.open('uppy-blobs');
  const db = await new Promise((resolve) => { opened.onsuccess = () => resolve(opened.result); });
  const all = (name) => new Promise((resolve) => {
    const found = db.transaction(name).objectStore(name).getAll();
    found.onsuccess = () => resolve(found.result);
  });
  const stores = await Promise.all(Array.from(db.objectStoreNames, all));
  return JSON.stringify([stores, { ...localStorage }, { ...sessionStorage }, document.cookie, location.href]);
};
const document_ = () => document.documentElement.outerHTML
  + Array.from(document.querySelectorAll('input'), ({ value }) => value).join('\n');

const seen = await withPage(job.chromium, files, async (page) => {
  const [sent, asked] = [[], []];
  page.on('response', (response) => {
    const number = new URL(response.url()).searchParams.get('partNumber');
    if (number && response.request().method() === 'PUT' && response.ok()) sent.push(Number(number));
  });
  page.on('request', (request) => {
    if (request.url().startsWith(job.server)) asked.push(request.url());
  });
  await page.fill('#server', job.server);
  await page.click('#server-form button');
  await page.fill('#login', job.login);
  await page.click('#give-login button');
  await page.locator('#signed-in').waitFor();
  await page.check(`#way input[value=${job.way}]`, { force: true });
  await page.setInputFiles('#file-input', {
    name: 'film.mp4',
    mimeType: 'video/mp4',
    buffer: Buffer.alloc((PARTS - 1) * 5 * 1024 * 1024 + 1, 7),
  });
  // Parts are sent one after the other. The last part gets no answer, so the upload stops there.
  await page.route(`**/*partNumber=${PARTS}*`, () => {});
  await page.locator('.uppy-StatusBar-actionBtn--upload').click();
  await page.waitForRequest((request) => request.url().includes(`partNumber=${PARTS}`));
  await page.waitForTimeout(1000); // the store writes changes twice a second
  return { sent, asked, kept: await page.evaluate(storage), shown: await page.evaluate(document_) };
});
console.log(JSON.stringify(seen));
