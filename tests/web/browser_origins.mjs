// Sends requests from pages of other origins in Chromium. Reads a job {asks: [{origin, url, headers}],
// spelled, chromium} as JSON on stdin. Prints `outcomes` and `sent`. `outcomes` has one entry for each request of
// `asks`: the StatusCode of the JSON that the page read, or the error of fetch(). `sent` has one entry for each
// text of `spelled`: the origin as the browser writes it, or null if the text is not a URL.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const html = '<!doctype html><title>Page</title>';
const spell = (texts) => texts.map((text) => URL.canParse(text) ? new URL(text).origin : null);
const ask = ({ url, headers }) =>
  fetch(url, { headers }).then((answer) => answer.json()).then((answer) => answer.StatusCode, String);
const use = async (page) => {
  const outcomes = [];
  for (const { origin, ...request } of job.asks) {
    await page.route(`${origin}/`, (route) => route.fulfill({ contentType: 'text/html', body: html }));
    await page.goto(`${origin}/`);
    await page.unroute(`${origin}/`); // while a page has a route, playwright answers preflights itself
    outcomes.push(await page.evaluate(ask, request));
  }
  return { outcomes, sent: await page.evaluate(spell, job.spelled) };
};
// Chromium treats these pages as pages of the Internet, so they need this permission to call this machine.
const context = { permissions: ['local-network-access'] };
const told = await withPage(job.chromium, { '/': ['text/html', html] }, use, undefined, context);
console.log(JSON.stringify(told));
