// Reads what the full page shows about uploads, in Chromium. Reads {folder, config, refusals, user, way, upload: {name,
// type, base64}, view, more, leaves, chromium} as JSON on stdin. `folder` has the built page, `refusals` is the
// sandbox's answer, and `view` is a name in the gallery. Prints as JSON the gallery, the viewer and the panel, the
// faults of the page (faults.mjs), and all text that could contain a secret.

import { readFile, readdir } from 'node:fs/promises';
import { json } from 'node:stream/consumers';

import { faultsOf, watch } from './faults.mjs';
import { withPage } from './page.mjs';
import { POLICY } from './policy.mjs';

const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
const VIEWS = '#gallery-view, #why-view, #refusal, #viewer';

const job = await json(process.stdin);
const files = { '/config.json': ['application/json', JSON.stringify(job.config)] };
for (const name of await readdir(job.folder)) {
  const type = TYPES[name.split('.').at(-1)];
  if (type) files[name === 'index.html' ? '/' : `/${name}`] = [type, await readFile(`${job.folder}/${name}`)];
}

// Run in the page.
const gallery = () => ({
  note: document.getElementById('uploads-note').textContent,
  more: !document.getElementById('more').hidden,
  items: [...document.querySelectorAll('#uploads > li')].map((item) => ({
    name: item.querySelector('.name').textContent,
    picture: [...item.querySelectorAll('img')].map((one) => [one.naturalWidth, one.naturalHeight]),
    told: [...item.querySelectorAll('.fault, pre')].map((one) => one.textContent),
  })),
});
const viewer = () => ({
  size: [...document.querySelectorAll('#viewer img:not([hidden])')].map((one) => [one.naturalWidth, one.naturalHeight]),
  said: document.querySelector('#viewer [role=status]').textContent,
  title: document.querySelector('#viewer h2').textContent,
});
/** The lightest colour of the viewer's picture, and the colour at a place (0 to 1 from the left and the top). */
const lightest = () => {
  const image = document.querySelector('#viewer img');
  const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let most = 0;
  for (let at = 0; at < data.length; at += 4) most = Math.max(most, Math.min(data[at], data[at + 1], data[at + 2]));
  return most;
};
const texts = () => [document.documentElement.outerHTML, JSON.stringify({ ...localStorage, ...sessionStorage }),
  document.getElementById('why')?.textContent ?? '', location.href];

/** Press the download button; return name and bytes of the file. The download may start in another tab. */
async function downloaded(page) {
  const coming = new Promise((resolve) => {
    page.once('download', resolve);
    page.context().once('page', (tab) => tab.once('download', resolve));
  });
  await page.click('#download');
  const download = await coming;
  return { name: download.suggestedFilename(), base64: (await readFile(await download.path())).toString('base64') };
}

let watched;
let session;
const use = async (page) => {
  const outcome = {};
  await page.waitForSelector('#page:not([hidden])');
  if (job.user) {
    await page.fill('#user', job.user);
    await page.click('#sign-in button');
    await page.waitForSelector('#signed-in:not([hidden])');
  }
  await page.waitForFunction(() => document.getElementById('uploads-note').textContent
    || document.querySelector('#uploads li'));
  if (job.more) {
    await page.click('#more');
    await page.waitForFunction((number) => document.querySelectorAll('#uploads > li').length === number, job.more);
  }
  if (job.upload) {
    if (job.way) await page.check(`#way [value=${job.way}]`, { force: true });
    const { name, type, base64 } = job.upload;
    await page.waitForSelector('#file-input');
    await page.waitForTimeout(0);
    await page.setInputFiles('#file-input', { name, mimeType: type, buffer: Buffer.from(base64, 'base64') });
    await page.click('.uppy-StatusBar-actionBtn--upload');
    await page.waitForSelector(job.isRefused ? '#refusal p' : '#uploads > li');
  }
  // Thumbnails are fetched when they become visible.
  if (job.pictures || job.scroll) await page.locator('#uploads').scrollIntoViewIfNeeded();
  if (job.pictures) {
    await page.waitForFunction((number) => [...document.querySelectorAll('#uploads img')]
      .filter((one) => one.complete && one.naturalWidth).length >= number, job.pictures);
  }
  if (job.waitFor) await page.waitForFunction((text) => document.body.innerText.includes(text), job.waitFor);
  outcome.gallery = await page.evaluate(gallery);
  outcome.refusal = await page.locator('#refusal').innerText();
  outcome.why = await page.locator('#why').isVisible() ? await page.locator('#why-list').innerText() : null;
  outcome.session = session ?? null;
  outcome.faults = await faultsOf(page, watched, VIEWS);
  outcome.open = await page.evaluate(texts);
  if (job.view) {
    const button = page.locator('#uploads button').filter({ hasText: job.view });
    await button.click();
    await page.waitForSelector('#viewer');
    const settled = () => page.waitForFunction(() => /\d/.test(document.querySelector('#viewer [role=status]').textContent));
    await settled();
    outcome.first = await page.evaluate(viewer);
    outcome.darkest = await page.evaluate(lightest);
    const changed = async (act) => {
      const before = await page.locator('#viewer [role=status]').textContent();
      await act();
      await page.waitForFunction((text) => {
        const now = document.querySelector('#viewer [role=status]').textContent;
        return now !== text && /\d/.test(now);
      }, before);
    };
    await changed(() => page.selectOption('#width', '400'));
    outcome.narrow = await page.evaluate(viewer);
    await changed(() => page.selectOption('#quality', '25'));
    await changed(() => page.fill('#watermark', '水印 Mark'));
    outcome.marked = await page.evaluate(viewer);
    outcome.lightest = await page.evaluate(lightest);
    outcome.faults.push(...await faultsOf(page, [], VIEWS));
    outcome.open.push(...await page.evaluate(texts));
    const changedFile = await downloaded(page);
    await page.fill('#watermark', '');
    for (const id of ['#quality', '#width']) await page.selectOption(id, '');
    await page.waitForFunction(() => document.getElementById('download').textContent.includes('original'));
    outcome.files = [changedFile, await downloaded(page)];
    await page.keyboard.press('Escape');
    // Wait, because the browser closes the dialog some time after the key press.
    const closed = page.locator('#viewer').waitFor({ state: 'detached', timeout: 5000 });
    outcome.isClosed = await closed.then(() => true, () => false);
    outcome.isBack = await button.evaluate((one) => one === document.activeElement);
  }
  if (job.leaves) {
    await page.click('#sign-out');
    await page.waitForSelector('#sign-in:not([hidden])');
    outcome.left = await page.evaluate(gallery);
  }
  return outcome;
};

const prepare = async (page) => {
  watched = await watch(page);
  // Add this route only if it is needed, because a page with a route sends no preflights. (If the sandbox serves
  // both the page and the function, the page needs no preflight.)
  if (!job.config.refusals) return;
  await page.route('**/refusals?*', (route) => {
    session = new URL(route.request().url()).searchParams.get('session');
    return job.refusals ? route.fulfill({ json: { Requests: job.refusals } }) : route.fulfill({ status: 404 });
  });
};

const context = { locale: job.locale ?? 'en-GB', headers: { 'content-security-policy': POLICY } };
console.log(JSON.stringify(await withPage(job.chromium, files, use, prepare, context)));
