// Opens a URL in Chromium and clicks the only link of the page. Reads a job {url, chromium} as JSON on stdin.
// Prints JSON with the text of the page, the messages of the console, and the URL that the link led to.

import { json } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const job = await json(process.stdin);
const browser = await chromium.launch({
  executablePath: job.chromium,
  headless: true,
  args: ['--no-sandbox'], // the user root, as in a container, has no sandbox
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
