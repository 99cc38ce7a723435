// Runs the Uppy block of docs/web.md in a page in Chromium. The test changes only the way to upload, and passes
// the function `sign` of our page. Reads {code, tokenUrl, login, size, chromium} as JSON on stdin. Prints the
// result that Uppy has for the file.

import path from 'node:path';
import { json } from 'node:stream/consumers';

import { build } from 'esbuild';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const [, imports, rest] = job.code.match(/^((?:import [^\n]*\n)+)(.*)$/s);
const bundled = await build({
  stdin: {
    contents: `${imports}
      import { sign } from './page/ways.js';
      window.use = async ({ tokenUrl, login, size }) => {
        ${rest}
        uppy.addFile({ name: 'photo.jpg', type: 'image/jpeg', data: new Blob([new Uint8Array(size)]) });
        const { successful, failed } = await uppy.upload();
        return { keys: successful.map(({ response }) => response.body.key), errors: failed.map(({ error }) => error),
          kept: Object.keys(localStorage) };
      };`,
    resolveDir: path.join(import.meta.dirname, '..', '..', 'web'),
  },
  bundle: true,
  format: 'iife',
  write: false,
  logLevel: 'error',
});
const files = {
  '/': ['text/html', '<!doctype html><title>Uppy</title><script src="/uppy.js"></script>'],
  '/uppy.js': ['text/javascript', bundled.outputFiles[0].contents],
};
const use = (job) => window.use(job);
console.log(JSON.stringify(await withPage(job.chromium, files, (page) => page.evaluate(use, job))));
