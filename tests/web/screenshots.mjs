// Takes screenshots of the page that `make run` serves. Reads {url, folder, photos: [{path}], shots: [{name, device,
// dark, locale}], chromium} as JSON on stdin. For each shot it writes <folder>/<name>-<view>.png for three views: the
// uploads, an open picture, and a refusal with its reason.

import { json } from 'node:stream/consumers';

import { withTab } from './full_page.mjs';

const DESK = { viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 };

const job = await json(process.stdin);
for (const shot of job.shots) {
  await withTab({ ...job, desk: DESK, ...shot }, async (tab, url) => {
    const { page } = tab;
    const take = (view, options = {}) => page.screenshot({ path: `${job.folder}/${shot.name}-${view}.png`,
      animations: 'disabled', ...options });
    await tab.goto(url);
    await tab.signIn('alice');
    await take('first', { fullPage: true });
    await tab.way('multipart');
    await tab.send(job.photos);
    await tab.done();
    await tab.uploads(job.photos.length);
    await page.evaluate(() => scrollTo(0, 0));
    await take('top');
    await take('uploads', { fullPage: true });
    await page.locator('#uploads').evaluate((list) => list.scrollIntoView({ block: 'end' }));
    await take('arrived');
    await page.click('#try-bob');
    await page.waitForSelector('#refusal p');
    await page.waitForTimeout(1000); // until the panel has called the sandbox
    await take('refusal', { fullPage: true });
    await page.locator('#uploads button').first().click();
    await page.waitForFunction(() => /\d/.test(document.querySelector('#viewer [role=status]')?.textContent));
    await take('viewer');
    return {};
  });
}
console.log('{}');
