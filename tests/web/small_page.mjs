// Uses the small page (web/small) in Chromium, with the same Content-Security-Policy as in the sandbox. Reads {config,
// files: [{name, type, base64}], input, user, device, locale, lostPuts, offersFullPage, chromium} as JSON on stdin.
// `input` is the field for the files. `user` signs in first. The first `lostPuts` uploads get no answer. Then "try
// again" is pressed. Prints as JSON what the page shows for each file, its messages, its faults (console, policy, axe),
// and all text that could contain a secret.

import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';

import { devices } from 'playwright-core';

import { faultsOf, watch } from './faults.mjs';
import { withPage } from './page.mjs';
import { POLICY } from './policy.mjs';

const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript' };
const CHECK_MS = 3000; // how often the page checks whether the full page is there

const job = await json(process.stdin);
const web = new URL('../../web/', import.meta.url);
const file = async (path) => [TYPES[path.split('.').at(-1)], await readFile(new URL(path, web))];
const files = {
  '/': await file('small/index.html'),
  '/small.css': await file('small/small.css'),
  '/small.js': await file('small/small.js'),
  '/names.js': await file('small/names.js'),
  '/client/oss_upload.js': await file('client/oss_upload.js'),
  '/config.json': ['application/json', JSON.stringify(job.config)],
};

// Runs in the page.
const seen = () =>
  [...document.querySelectorAll('#files li')].map((item) => ({
    lines: [...item.querySelectorAll('h2, p')].map((one) => one.textContent),
    pictures: [...item.querySelectorAll('img')].map((one) => [one.naturalWidth, one.naturalHeight]),
    elements: [...item.querySelectorAll('*')].map((one) => one.localName),
  }));

const settled = (number) => {
  const items = [...document.querySelectorAll('#files li')];
  const pictures = [...document.querySelectorAll('#files img')];
  return items.length === number && items.every((one) => one.ariaBusy === 'false')
    && pictures.every((one) => one.complete);
};

/** Simulates a server that does not answer the first PUTs. */
const losing = (lost) => (route) => {
  if (route.request().method() !== 'PUT' || lost === 0) return route.fallback();
  lost -= 1;
  return route.abort('connectionreset');
};

let watched;
const use = async (page) => {
  const outcome = {};
  // The page has read its settings when a message, the sign-in or the file field is visible.
  await page.waitForSelector('#said:not(:empty), #sign-in:not([hidden]), #pick:not([hidden])');
  if (job.user) {
    await page.fill('#user', job.user);
    await page.click('#sign-in button');
  }
  const input = page.locator(job.input ?? '#choose');
  if (job.files?.length) {
    await page.waitForSelector('#pick:not([hidden])');
    outcome.target = await input.locator('..').boundingBox();
    const chosen = job.files.map(({ name, type, base64 }) => ({
      name, mimeType: type, buffer: Buffer.from(base64, 'base64'),
    }));
    await input.setInputFiles(chosen);
    await page.waitForFunction(settled, chosen.length);
    outcome.first = await page.evaluate(seen);
    for (const button of await page.locator('#files button').all()) await button.click();
    await page.waitForFunction(settled, chosen.length);
  }
  if (job.offersFullPage) {
    outcome.offeredAtOnce = await page.locator('#full-page').isVisible();
    await page.clock.fastForward(CHECK_MS);
    await page.locator('#full-page button').waitFor();
  }
  outcome.files = await page.evaluate(seen);
  outcome.said = await page.locator('#said').textContent();
  outcome.text = await page.locator('main').innerText();
  outcome.language = await page.evaluate(() => document.documentElement.lang);
  outcome.faults = await faultsOf(page, watched);
  outcome.open = await page.evaluate(() =>
    [document.documentElement.outerHTML, JSON.stringify({ ...localStorage, ...sessionStorage }), location.href]);
  if (job.offersFullPage) {
    await page.click('#full-page button');
    await page.waitForFunction(() => document.title === 'The full page');
  }
  return outcome;
};

const prepare = async (page) => {
  watched = await watch(page);
  // Add this route only if it is needed, because a page with a route sends no preflights.
  if (job.lostPuts) await page.route('**/*', losing(job.lostPuts));
  if (job.offersFullPage) {
    await page.clock.install();
    let asked = 0;
    await page.route('**/config.json', (route) => {
      asked += 1;
      return route.fulfill({ json: { ...job.config, fullPage: asked > 2 } });
    });
    let opened = 0;
    await page.route(/:\d+\/$/, (route) => {
      if (route.request().resourceType() !== 'document') return route.fallback();
      opened += 1;
      return opened === 1 ? route.fallback()
        : route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>The full page</title>' });
    });
  }
};

const context = {
  ...(job.device ? devices[job.device] : {}),
  locale: job.locale ?? 'en-GB',
  headers: { 'content-security-policy': POLICY },
};
console.log(JSON.stringify(await withPage(job.chromium, files, use, prepare, context)));
