// Runs a program of docs/integrate/uppy.md, unchanged, bundled with its styles, in a page in Chromium. Reads
// {code, tokenUrl, logins, files: [{name, type, size}], chromium} as JSON on stdin. The sign-in answers with
// `logins` one after the other. Prints as JSON the stored keys, the errors of the files, the log, the text of the
// Dashboard, and what the page still keeps.

import path from 'node:path';
import { json } from 'node:stream/consumers';

import { build } from 'esbuild';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const [, imports, rest] = job.code.match(/^((?:import [^\n]*\n)+)(.*)$/s);
const bundled = await build({
  stdin: {
    contents: `${imports}
      window.use = async ({ tokenUrl, logins, files }) => {
        const logged = [];
        const console = { log: (text) => logged.push(text), warn: (text) => logged.push(text) };
        const login = logins[0];
        const currentLogin = () => (logins.length > 1 ? logins.shift() : logins[0]);
        ${rest}
        const refused = [];
        for (const { name, type, size } of files) {
          try {
            uppy.addFile({ name, type, data: new Blob([new Uint8Array(size)], { type }) });
          } catch (error) {
            refused.push(error.message);
          }
        }
        const { successful = [], failed = [] } = (await uppy.upload()) ?? {};
        return { keys: successful.map(({ response }) => response.body.key), refused,
          errors: failed.map(({ error }) => error), logged,
          shown: document.querySelectorAll('#uppy .uppy-Dashboard-Item').length,
          kept: Object.keys(localStorage) };
      };`,
    resolveDir: path.join(import.meta.dirname, '..', '..', 'web'),
  },
  bundle: true,
  format: 'iife',
  outdir: '/',
  write: false,
  logLevel: 'error',
});
const named = (ending) => bundled.outputFiles.find((file) => file.path.endsWith(ending)).contents;
const files = {
  '/': ['text/html', '<!doctype html><title>Uppy</title><link rel="stylesheet" href="/uppy.css">'
    + '<div id="uppy"></div><script src="/uppy.js"></script>'],
  '/uppy.js': ['text/javascript', named('.js')],
  '/uppy.css': ['text/css', named('.css')],
};
const use = (job) => window.use(job);
console.log(JSON.stringify(await withPage(job.chromium, files, (page) => page.evaluate(use, job))));
