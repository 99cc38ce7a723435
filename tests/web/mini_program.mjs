// Runs the programs of docs/integrate/mini-program.md, unchanged, in Node. A stand-in for `wx` or `uni` sends real
// requests. Reads {code, use, service, logins, lose, file: {path, size}} as JSON on stdin. `use` is the code to run
// at the end. `lose` is the number of uploads that fail as if the network were gone. Each request to the sign-in
// gets the next of `logins` as the answer. After the last login, each request gets this login again. Prints the result
// and everything that happened as JSON.

import { json } from 'node:stream/consumers';

const job = await json(process.stdin);
const seen = { logged: [], progress: [], codes: [], forms: 0, uploads: 0 };
const SIGN_IN = 'https://api.example.com/wx-login';
let { lose } = job;

async function answered({ url, method = 'GET', header = {}, data }) {
  if (url === SIGN_IN) {
    seen.codes.push(data.code);
    const login = job.logins.length > 1 ? job.logins.shift() : job.logins[0];
    return { statusCode: 200, data: { login } };
  }
  seen.forms += 1;
  const answer = await fetch(url, { method, headers: header });
  const text = await answer.text();
  try {
    return { statusCode: answer.status, data: JSON.parse(text) };
  } catch {
    return { statusCode: answer.status, data: text };
  }
}

async function uploaded({ url, filePath, name, formData }) {
  seen.uploads += 1;
  if (lose > 0) {
    lose -= 1;
    throw new Error('lost');
  }
  const form = new FormData();
  for (const [field, value] of Object.entries(formData)) form.append(field, value);
  form.append(name, new File([new Uint8Array(job.file.size)], filePath.split('/').at(-1)));
  const answer = await fetch(url, { method: 'POST', body: form });
  return { statusCode: answer.status, data: await answer.text() };
}

const called = (name, what) => (options) => {
  what(options).then(options.success, () => options.fail({ errMsg: `${name}:fail` }));
  return { onProgressUpdate: (told) => told({ progress: 100 }) };
};
const platform = {
  login: ({ success }) => success({ code: 'the code' }),
  request: called('request', answered),
  uploadFile: called('uploadFile', uploaded),
};
const told = { log: (text) => seen.logged.push(text), error: (text) => seen.logged.push(text) };
const names = {
  wx: platform, uni: platform, console: told, tempFilePath: job.file.path, ...job.names,
  setTimeout: (then) => queueMicrotask(then),
};
const AsyncFunction = (async () => {}).constructor;
const code = `${job.code.replace(/^export /m, '')}\n${job.use}`;
const run = new AsyncFunction(...Object.keys(names), 'seen', code);
let outcome;
try {
  outcome = { value: await run(...Object.values(names), seen) };
} catch (error) {
  outcome = { error: error.message };
}
// If the code returns no promise, `await` cannot wait for its end. So wait until the code has logged something.
for (let turn = 0; job.waits && !seen.logged.length && turn < 200; turn += 1) {
  await new Promise((later) => { setTimeout(later, 25); });
}
console.log(JSON.stringify({ ...outcome, ...seen }));
