// Runs JavaScript of the docs, unchanged, in Node or in a page in Chromium. Reads {where, jobs, chromium} as
// JSON on stdin: `where` is "node" or "browser", app_use.mjs describes `jobs`, `chromium` is the browser's
// path. Prints the result of each job as JSON. A page comes from a server of this script, so CORS applies.

import { setDefaultResultOrder } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

import { useCodes } from './app_use.mjs';
import './localhost_names.mjs';
import { withPage } from './page.mjs';

// The sandbox listens on 127.0.0.1 only, but localhost may resolve to ::1 first.
setDefaultResultOrder('ipv4first');

const here = (path) => readFile(new URL(path, import.meta.url));

async function inPage(jobs, chromium) {
  const files = {
    '/': ['text/html', '<!doctype html><title>Upload</title><script src="/ali-oss.js"></script>'],
    '/ali-oss.js': ['text/javascript', await here('node_modules/ali-oss/dist/aliyun-oss-sdk.min.js')],
    '/app_use.mjs': ['text/javascript', await here('app_use.mjs')],
  };
  return withPage(chromium, files, (page) =>
    page.evaluate(async (jobs) => {
      const { useCodes } = await import('/app_use.mjs');
      return useCodes(window.OSS, jobs, (bytes, name, type) => new File([bytes], name, { type }));
    }, jobs),
  );
}

// In Node, ali-oss needs the data as a Buffer.
const inNode = (jobs) =>
  useCodes(OSS, jobs, (bytes, name) => Object.assign(Buffer.from(bytes), { name }));

const { where, jobs, chromium } = await json(process.stdin);
const outcomes = await (where === 'browser' ? inPage(jobs, chromium) : inNode(jobs));
console.log(JSON.stringify({ outcomes }));
