// Tries uploads that are refused, on the page that `make run` serves. Reads {url, user, way, files, other: a
// language, planted, ...} as JSON on stdin (full_page.mjs has more members). Prints JSON with four results: the ways
// to upload that are closed, the page's sentence about the refusal, the text of the panel, and the page's faults.
// If the job has no `files`, the program uploads nothing, and only checks which ways are closed.

import { json } from 'node:stream/consumers';

import { withTab } from './full_page.mjs';

const job = await json(process.stdin);

const outcome = await withTab(job, async (tab, url) => {
  const { page } = tab;
  await tab.goto(url);
  if (job.user) await tab.signIn(job.user);
  const found = {
    title: await page.title(),
    language: await page.evaluate(() => document.documentElement.lang),
    ways: await page.evaluate(() => [...document.querySelectorAll('#way label')].map((label) =>
      [label.querySelector('input').value, label.querySelector('input').disabled, label.innerText])),
    texts: await page.locator('body').innerText(),
    loaded: tab.sent.map(({ path }) => path).filter((path) => /^\/app\/(en|zh)-/.test(path)),
  };
  if (job.planted) await page.evaluate(plant);
  if (job.other) {
    await page.waitForSelector('#why-list li');
    found.why = await page.locator('#why-list').innerText();
    await page.click(`#language [lang=${job.other}]`);
    await page.waitForFunction((code) => document.documentElement.lang.startsWith(code), job.other);
    await tab.ready();
    found.other = await page.locator('body').innerText();
  }
  if (job.files) {
    if (job.way) await tab.way(job.way);
    await tab.send(job.files);
    await page.waitForSelector('#refusal p');
    found.refusal = await page.locator('#refusal').innerText();
    await page.waitForTimeout(1000); // until the panel has called the sandbox
    found.why = await page.locator('#why').isVisible() ? await page.locator('#why-list').innerText() : '';
  }
  return found;
});
console.log(JSON.stringify(outcome));

/** Runs in the page. Makes one fault of each kind, to check that the tests detect it. */
async function plant() {
  const token = await (await fetch('/')).text();
  localStorage.setItem('planted', token);
  const opening = indexedDB.open('planted');
  await new Promise((done) => {
    opening.onupgradeneeded = () => opening.result.createObjectStore('tokens', { keyPath: 'id' }).put({ id: 1, token });
    opening.onsuccess = done;
  });
  opening.result.close();
  document.getElementById('user').value = JSON.parse(token).AccessKeySecret;
  document.getElementById('why').append(token, Object.assign(document.createElement('img'), { src: 'mark.svg' }));
  history.replaceState(null, '', `?key=${JSON.parse(token).AccessKeySecret}`);
  document.body.append(Object.assign(document.createElement('script'), { textContent: '1' }));
  console.warn('planted');
}
