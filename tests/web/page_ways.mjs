// Uploads with the page that `make run` serves. Reads {url, user, way, resumable, files, object, pictures, view, ...}
// as JSON on stdin (full_page.mjs has more members). Prints as JSON the list of stored objects, the requests, the
// sentence with which the page explains a refusal, and the page's faults.

import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';

import { faultsOf } from './faults.mjs';
import { withTab } from './full_page.mjs';

const job = await json(process.stdin);

const outcome = await withTab(job, async (tab, url) => {
  const { page } = tab;
  await tab.goto(url);
  const found = { secure: await page.evaluate(() => isSecureContext) };
  if (job.user) await tab.signIn(job.user);
  await tab.way(job.way);
  if (job.resumable === false) await page.uncheck('#resumable');
  await tab.send(job.files);
  await tab.done();
  found.uploads = await tab.uploads(job.pictures);
  found.parts = tab.parts();
  found.requests = tab.requests();
  found.code = await page.locator('#code').innerText();
  if (job.view) found.viewed = await view(tab, job.view);
  return found;
});
console.log(JSON.stringify(outcome));

/** Open a stored picture, add a watermark, and download the original. */
async function view(tab, name) {
  const { page } = tab;
  await page.locator('#uploads button').filter({ hasText: name }).click();
  const said = page.locator('#viewer [role=status]');
  const settled = async (act) => {
    const before = act && await said.textContent();
    await act?.();
    await page.waitForFunction((text) => {
      const now = document.querySelector('#viewer [role=status]')?.textContent;
      return now !== text && /\d/.test(now);
    }, before);
    return said.textContent();
  };
  const plain = await settled();
  const marked = await settled(() => page.fill('#watermark', 'Mark'));
  // Check only the viewer, because the page behind it is dimmed.
  tab.noted.push(...await faultsOf(page, [], '#viewer'));
  await tab.look();
  await settled(() => page.fill('#watermark', ''));
  // The browser decides whether the download starts in another tab.
  const download = new Promise((done) => {
    page.on('download', done);
    page.context().on('page', (tab) => tab.on('download', done));
  });
  await page.click('#download');
  const file = await readFile(await (await download).path());
  await page.keyboard.press('Escape');
  return { plain, marked, name: (await download).suggestedFilename(), base64: file.toString('base64') };
}
