// Opens URLs in a browser as a user does: reads a job {urls, chromium} as JSON on stdin,
// prints for each as JSON "download", or the title of the page that is shown. A page can set its
// title by a script.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const files = { '/': ['text/html', '<!doctype html><title>Start</title>'] };
const outcomes = await withPage(job.chromium, files, async (page) => {
  const made = [];
  for (const url of job.urls) {
    const download = page.waitForEvent('download', { timeout: 0 }).then(() => 'download');
    download.catch(() => {}); // the page is closed while it still waits
    const shown = page.goto(url).then(
      () => page.title(),
      () => download,
    );
    made.push(await shown);
  }
  return made;
});
console.log(JSON.stringify({ outcomes }));
