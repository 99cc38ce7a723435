// Opens hostile pages in Chromium, which try to read the answer of a URL on this machine. Reads a job {url, chromium}
// as JSON on stdin. Prints as JSON what a person gets by entering the URL, and what each page could read by each
// method. Two pages come from another port of this machine: one from 127.0.0.1, and one from localhost. A third page
// comes from its own host name. When the third page has loaded, it reads the URL by this host name, which then points
// to this machine (DNS rebinding).

import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const PAGE = '<!doctype html><title>Stranger</title><body>';
const REBOUND = 'evil.example';

const job = await json(process.stdin);
const target = new URL(job.url);
const server = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(PAGE);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const { port } = server.address();
const browser = await chromium.launch({
  executablePath: job.chromium,
  headless: true,
  args: [
    '--no-sandbox', // the user root, as in a container, has no sandbox
    `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`,
    // Chromium asks the user before a page may call this machine. This option turns the question off, so that
    // Chromium behaves like other browsers, which do not ask.
    '--disable-features=LocalNetworkAccessChecks',
  ],
});

// Runs in the page.
async function steal(url) {
  const text = async (response) => `${response.type} ${response.status} ${await response.text()}`;
  const framed = (frame, load) =>
    new Promise((settle) => {
      frame.onload = () => {
        try {
          settle(`loaded ${frame.contentDocument.body.innerText}`);
        } catch (error) {
          settle(String(error));
        }
      };
      load();
    });
  const added = (name, attributes) => {
    const element = Object.assign(document.createElement(name), attributes);
    return document.body.appendChild(element);
  };
  const means = {
    get: async () => text(await fetch(url)),
    post: async () => text(await fetch(url, { method: 'POST', body: 'duration=900' })),
    preflighted: async () => text(await fetch(url, { headers: { authorization: 'Bearer x' } })),
    'no-cors': async () => text(await fetch(url, { mode: 'no-cors' })),
    script: () =>
      new Promise((settle) => {
        const done = (event) => settle(event.type);
        added('script', { src: url, onload: done, onerror: done });
      }),
    frame: () => {
      const frame = document.createElement('iframe');
      return framed(frame, () => {
        frame.src = url;
        document.body.append(frame);
      });
    },
    form: () => {
      const frame = added('iframe', { name: 'target' });
      const form = added('form', { action: url, method: 'POST', target: 'target' });
      return framed(frame, () => form.submit());
    },
  };
  const got = {};
  for (const [name, attempt] of Object.entries(means)) {
    try {
      got[name] = await attempt();
    } catch (error) {
      got[name] = String(error);
    }
  }
  return got;
}

try {
  const person = await browser.newPage();
  const typed = await person.goto(job.url);
  const printed = { typed: { status: typed.status(), text: await typed.text() }, pages: {} };
  for (const name of ['127.0.0.1', 'localhost']) {
    const page = await browser.newPage();
    await page.goto(`http://${name}:${port}/`);
    printed.pages[name] = await page.evaluate(steal, job.url);
  }
  const page = await browser.newPage();
  const own = `http://${REBOUND}:${target.port}/its-own-page`;
  await page.route(own, (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
  await page.goto(own);
  const rebound = `http://${REBOUND}:${target.port}${target.pathname}${target.search}`;
  printed.pages[REBOUND] = await page.evaluate(steal, rebound);
  console.log(JSON.stringify(printed));
} finally {
  await browser.close();
  server.close();
}
