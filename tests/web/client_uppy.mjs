// The Uppy block of docs/web.md, word for word but for its way, in a page of Chromium. Reads {code, tokenUrl,
// login, size, chromium} as JSON on stdin; prints what Uppy said of the file.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { json } from 'node:stream/consumers';

import { build } from 'esbuild';

import { withPage } from './page.mjs';

const OSS = path.join(import.meta.dirname, 'node_modules', 'ali-oss', 'dist', 'aliyun-oss-sdk.min.js');

const job = await json(process.stdin);
const [, imports, rest] = job.code.match(/^((?:import [^\n]*\n)+)(.*)$/s);
const bundled = await build({
  stdin: {
    contents: `${imports}
      window.use = async (tokenUrl, login, sign, size) => {
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
  '/': ['text/html', '<!doctype html><title>Uppy</title><script src="/oss.js"></script><script src="/uppy.js"></script>'],
  '/oss.js': ['text/javascript', await readFile(OSS)],
  '/uppy.js': ['text/javascript', bundled.outputFiles[0].contents],
};
const use = ({ tokenUrl, login, size }) => {
  const sign = ({ AccessKeyId, AccessKeySecret, SecurityToken, Scope }, { method, key, query, headers, seconds }) =>
    new window.OSS({
      accessKeyId: AccessKeyId,
      accessKeySecret: AccessKeySecret,
      stsToken: SecurityToken,
      bucket: Scope.Bucket,
      region: `oss-${Scope.Region}`,
      endpoint: Scope.Endpoint,
      sldEnable: true, // by an address
      authorizationV4: true,
    }).signatureUrlV4(method, seconds, { headers, queries: query }, key);
  return window.use(tokenUrl, login, sign, size);
};
console.log(JSON.stringify(await withPage(job.chromium, files, (page) => page.evaluate(use, job))));
