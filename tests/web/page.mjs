// Opens a page in Chromium. The page comes from a server of this script. Its origin differs from OSS's, so CORS
// applies.

import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

import { chromium } from 'playwright-core';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
};

/** The built page of a folder, as withPage() serves it. */
export async function filesOf(folder) {
  const names = (await readdir(folder)).filter((name) => path.extname(name) in TYPES);
  const files = Object.fromEntries(await Promise.all(names.map(async (name) =>
    [`/${name}`, [TYPES[path.extname(name)], await readFile(path.join(folder, name))]])));
  return { ...files, '/': files['/index.html'] };
}

/**
 * Serve `files`, open the page `/`, and call `use` with this page. `files` has a type and a body for each path.
 * `executablePath` is the browser's path. `prepare` is called with the page before the page loads anything.
 * Each answer has the `headers`. `context` has playwright's options for the page, for example a language or a device.
 */
export async function withPage(
  executablePath, files, use, prepare = () => {}, { headers = {}, ...context } = {},
) {
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? [];
    response.writeHead(body ? 200 : 404, { ...headers, 'content-type': `${type ?? 'text/plain'}; charset=utf-8` });
    response.end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox'], // the user root, as in a container, has no sandbox
  });
  try {
    const page = await browser.newPage(context);
    await prepare(page);
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await use(page);
  } finally {
    await browser.close();
    server.close();
  }
}
