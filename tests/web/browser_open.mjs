// Opens URLs in a browser as a user does. Reads a job {urls, chromium} as JSON on stdin. Prints {outcomes} as JSON.
// `outcomes` has one text for each URL: "download", or the title of the page that is shown. If a script of the page
// runs, it can change the title.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const files = { '/': ['text/html', '<!doctype html><title>Start</title>'] };
const outcomes = await withPage(job.chromium, files, async (page) => {
  const made = [];
  for (const url of job.urls) {
    const download = page.waitForEvent('download', { timeout: 0 }).then(() => 'download');
    download.catch(() => {}); // the page is closed while this still waits
    const shown = page.goto(url).then(
      () => page.title(),
      () => download,
    );
    made.push(await shown);
  }
  return made;
});
console.log(JSON.stringify({ outcomes }));
