// Forms posted to OSS by a page of Chromium, as an app does it with FormData: reads a job
// {posts: [{url, fields, file: {name, type, text}}], chromium} as JSON on stdin, prints what came
// of each post as JSON. The page comes from a server here: CORS applies.

import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const job = await json(process.stdin);
const server = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end('<!doctype html><title>Upload</title>');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({
  executablePath: job.chromium,
  headless: true,
  args: ['--no-sandbox'], // root, as in a container, has none
});
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const outcomes = await page.evaluate(async (posts) => {
    const made = [];
    for (const { url, fields, file } of posts) {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      form.append('file', new File([file.text], file.name, { type: file.type }));
      try {
        const response = await fetch(url, { method: 'POST', body: form });
        made.push({ status: response.status, text: await response.text() });
      } catch (error) {
        made.push({ status: 0, text: String(error) });
      }
    }
    return made;
  }, job.posts);
  console.log(JSON.stringify({ outcomes }));
} finally {
  await browser.close();
  server.close();
}
