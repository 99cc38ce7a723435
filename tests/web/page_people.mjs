// Two people use one page that `make run` serves. Reads {url, way, files, ...} as JSON on stdin; full_page.mjs
// lists the other members. Alice uploads `files` and tries bob's folder. Then bob signs in. Prints as JSON what alice
// and bob saw, and the page's faults.

import { json } from 'node:stream/consumers';

import { faultsOf } from './faults.mjs';
import { withTab } from './full_page.mjs';

const job = await json(process.stdin);

const outcome = await withTab(job, async (tab, url) => {
  const { page } = tab;
  const text = (selector) => page.locator(selector).innerText();
  await tab.goto(url);
  const before = { note: await text('#uploads-note'), signIn: await page.locator('#sign-in').isVisible() };
  tab.noted.push(...await faultsOf(page, []));
  await tab.signIn('alice');
  await tab.way(job.way);
  await tab.send(job.files);
  await tab.done();
  const alice = { uploads: await tab.uploads(1), scope: await text('#scope'), left: await text('#time-left') };
  await page.click('#try-bob');
  await page.waitForSelector('#refusal p');
  alice.refusal = await text('#refusal');
  await tab.look();
  await page.waitForTimeout(1000); // until the panel has called the sandbox
  alice.why = await page.locator('#why').isVisible() ? await text('#why-list') : '';
  await page.click('#sign-out');
  await page.waitForSelector('#sign-in:not([hidden])');
  const between = await tab.uploads();
  await tab.signIn('bob');
  await page.waitForSelector('#uploads-note:not(:empty)');
  const bob = { uploads: await tab.uploads(), scope: await text('#scope'), files: await text('#uploader') };
  // The page treats `localhost` as another server than 127.0.0.1. The page cannot make logins for another server.
  await page.fill('#server', url.replace('127.0.0.1', 'localhost').replace('app/', ''));
  await page.click('#server-form button');
  await page.waitForSelector('#give-login:not([hidden])');
  await page.waitForTimeout(1500); // until the ways of that server are known
  const elsewhere = { signIn: await page.locator('#sign-in').isVisible(),
    scope: await page.locator('#scope').isVisible() };
  return { before, alice, between, bob, elsewhere };
});
console.log(JSON.stringify(outcome));
