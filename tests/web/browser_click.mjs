// Opens a URL in Chromium and clicks its one link: reads a job {url, chromium} as JSON on stdin, prints
// as JSON the text that was shown, what the console said of it, and where the link led.

import { json } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const job = await json(process.stdin);
const browser = await chromium.launch({
  executablePath: job.chromium,
  headless: true,
  args: ['--no-sandbox'], // root, as in a container, has none
});
try {
  const page = await browser.newPage();
  const errors = [];
  page.on('console', (message) => errors.push(message.text()));
  await page.goto(job.url);
  const text = await page.innerText('main');
  const shown = [...errors];
  await page.click('a');
  await page.waitForURL('**/app/');
  console.log(JSON.stringify({ text, errors: shown, led: page.url() }));
} finally {
  await browser.close();
}
