// Posts forms to OSS from a page in Chromium, as an app does with FormData. Reads a job
// {posts: [{url, fields, file: {name, type, text}}], chromium} as JSON on stdin, and prints the
// result of each post as JSON.

import { json } from 'node:stream/consumers';

import { withPage } from './page.mjs';

const job = await json(process.stdin);
const files = { '/': ['text/html', '<!doctype html><title>Upload</title>'] };
const outcomes = await withPage(job.chromium, files, (page) =>
  page.evaluate(async (posts) => {
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
  }, job.posts),
);
console.log(JSON.stringify({ outcomes }));
