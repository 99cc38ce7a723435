// Runs the resumable upload of docs/resumable-uploads.md, unchanged, in a page in Chromium. The upload runs three
// times. A reload interrupts the first run, and a lost connection interrupts the second run. Reads {code, multipartUrl,
// logins, file: {name, type, parts, partSize, rest}, stopAfter, chromium} as JSON on stdin. `logins` has one login for
// each run. `stopAfter` is the number of parts that OSS answers before each interruption. Prints JSON. For each run it
// has the result, the parts that were sent, and the parts that OSS answered.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const files = { '/': ['text/html', '<!doctype html><title>Upload</title>'] };

const use = ({ code, multipartUrl, login, file: { name, type, parts, partSize, rest } }) => {
  // Each part begins with its own number, so that a wrong order of parts is detected. All other bytes are the same in
  // every part, so the browser has to store them only once.
  const filler = new Blob([new Uint8Array(partSize - 4)]);
  const blocks = Array.from({ length: parts }, (_, index) => {
    const number = new Uint8Array(4);
    new DataView(number.buffer).setUint32(0, index + 1);
    return new Blob([number, index < parts - 1 ? filler : filler.slice(0, rest - 4)]);
  });
  const file = new File(blocks, name, { type, lastModified: 1 });
  const AsyncFunction = (async () => {}).constructor;
  return new AsyncFunction('multipartUrl', 'login', 'file', code)(multipartUrl, login, file).then(
    () => 'done',
    (error) => `${error}`,
  );
};

const times = await withPage(job.chromium, files, async (page) => {
  const times = [];
  for (const [time, login] of job.logins.entries()) {
    const [sent, taken, failed] = [[], [], []];
    let interrupt;
    const interrupted = new Promise((resolve) => (interrupt = resolve));
    const partOf = (request) =>
      request.method() === 'PUT' && Number(new URL(request.url()).searchParams.get('partNumber'));
    const begin = (request) => partOf(request) && sent.push(partOf(request));
    const note = (response) => {
      const number = partOf(response.request());
      if (!number || response.status() !== 200) return;
      taken.push(number);
      if (taken.length === job.stopAfter[time]) interrupt('interrupted');
    };
    const lose = (request) => failed.push(`${request.url()}: ${request.failure().errorText}`);
    page.on('request', begin);
    page.on('requestfailed', lose);
    page.on('response', note);
    const used = page.evaluate(use, { ...job, login }).catch((error) => `${error}`);
    const outcome = await Promise.race([used, interrupted]);
    // In the second run (`time` is 1), the network fails, and the page gets errors.
    if (time === 1) await page.context().setOffline(true);
    if (time !== 0 && outcome === 'interrupted') await used;
    await page.context().setOffline(false);
    await page.reload();
    page.off('request', begin);
    page.off('requestfailed', lose);
    page.off('response', note);
    times.push({ outcome, error: time === 0 ? '' : await used, sent, taken, failed });
  }
  return times;
});
console.log(JSON.stringify({ times }));
