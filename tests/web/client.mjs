// The client of web/client/ against the function and the sandbox's OSS, in Node. Reads {url, login, other:
// another login of alice, code: the docs' blocks} as JSON on stdin; prints, as JSON, what each case came to.

import { json } from 'node:stream/consumers';

import { UploadError, connect, scopeUrl } from '../../web/client/oss_upload.js';

const job = await json(process.stdin);
const PLATFORM_429 = '{"RequestId":"1-2","ErrorCode":"ResourceExhausted","ErrorMessage":"too many"}';

const fetched = async (url, options) => {
  const response = await fetch(url, options);
  return { status: response.status, text: await response.text(), header: (name) => response.headers.get(name) };
};

/** A client whose requests are noted; `before(number, url, options)` may answer or fail in their place. */
function client({ before = () => undefined, ...options } = {}) {
  const sent = [], waits = [];
  const made = connect({
    url: job.url,
    login: job.login,
    random: () => 0.5,
    sleep: async (ms) => void waits.push(ms),
    request: async (url, asked) => {
      sent.push({ url, ...asked });
      return (await before(sent.length, url, asked)) ?? fetched(url, asked);
    },
    ...options,
  });
  return { ...made, sent, waits };
}

const outcome = (promise) => promise.then(
  (value) => ({ value }),
  (error) => ({ name: error.name, code: error.code, status: error.status, message: error.message,
    retryable: error.retryable, all: JSON.stringify(error, Object.getOwnPropertyNames(error)) }),
);
const file = (size, name = 'a.bin') => new File([new Uint8Array(size).fill(7)], name, { lastModified: 5 });
const BIG = 2 * 5 * 1024 * 1024 + 9;
const parts = (sent) => sent.map(({ url, method }) => method === 'PUT'
  && Number(new URL(url).searchParams.get('partNumber'))).filter(Boolean).sort();

const cases = {
  async 'many callers'() {
    const made = client();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => made.token()));
    return { requests: made.sent.length, same: new Set(tokens).size };
  },
  async 'renewal'() {
    let time = 1e12; // far from the server's clock
    const made = client({ now: () => time });
    const { LastUpdated, Expiration } = await made.token();
    const life = Date.parse(Expiration) - Date.parse(LastUpdated);
    const after = [];
    for (const left of [301, 300]) {
      time = 1e12 + life - left * 1000;
      await made.token();
      after.push(made.sent.length);
    }
    made.forget();
    await made.token();
    return [...after, made.sent.length];
  },
  async 'a failure is not kept'() {
    const made = client({ login: 'none' });
    const first = await outcome(made.token());
    const second = await outcome(made.token());
    return { codes: [first.code, second.code], requests: made.sent.length };
  },
  async 'wishes'() {
    const made = client({ wishes: { duration: 900, unknown: 'ü &=' } });
    await made.token();
    await made.token({ object: 'x.txt' });
    const { Scope } = await made.token({ object: 'x.txt' });
    return { urls: made.sent.map(({ url }) => url.slice(job.url.length)), scope: Object.keys(Scope) };
  },
  async 'a login that ended'() {
    const asked = [];
    const made = client({ login: (again) => (asked.push(again), again ? job.other : 'ended.ended.ended') });
    const { Scope } = await made.token();
    return { asked, prefix: Scope.Prefix };
  },
  async 'a login that stays wrong'() {
    const asked = [];
    const made = client({ login: (again) => (asked.push(again), 'a.b.c') });
    return { ...(await outcome(made.token())), asked };
  },
  async 'faults that pass'() {
    const faults = [
      () => ({ status: 429, text: PLATFORM_429 }),
      () => { throw new TypeError(`fetch failed ${job.login}`); },
      () => ({ status: 502, text: '<html>', header: () => '3' }),
    ];
    const made = client({ before: (number) => faults[number - 1]?.() });
    const { Scope } = await made.token();
    return { prefix: Scope.Prefix, waits: made.waits };
  },
  async 'faults that stay'() {
    const all = {};
    for (const [name, answer] of Object.entries({
      platform: { status: 429, text: PLATFORM_429 },
      busy: { status: 200, text: '{"StatusCode":429,"ErrorCode":"Throttling.Caller","ErrorMessage":"later"}' },
      broken: { status: 200, text: '{"StatusCode":500,"ErrorCode":"Misconfiguration","ErrorMessage":"X: no"}' },
      proxy: { status: 200, text: '<html>sign in to the hotel</html>' },
      cut: { status: 200, text: '{"StatusCode":20' },
    })) {
      const made = client({ before: () => answer });
      const { code, status, retryable } = await outcome(made.ask('form'));
      all[name] = { code, status, retryable, requests: made.sent.length };
    }
    return all;
  },
  async 'refusals'() {
    const made = client();
    const refused = await outcome(made.ask('signed-url', { object: '../bob/a' }));
    return { ...refused, requests: made.sent.length };
  },
  async 'form'() {
    const made = client();
    const name = 'ü "<b>\'+%2F.txt';
    return made.postForm(file(3, name), { object: name, content_type: 'text/plain', max_bytes: 3 });
  },
  async 'form, too large'() {
    return outcome(client().postForm(file(4), { object: 'large', max_bytes: 3 }));
  },
  async 'mini program'() {
    const given = [];
    const uploadFile = async ({ url, filePath, name, formData, success }) => {
      given.push({ filePath, name });
      const form = new FormData();
      for (const [field, value] of Object.entries(formData)) form.append(field, value);
      form.append(name, file(5));
      const { status, text } = await fetched(url, { method: 'POST', body: form });
      success({ statusCode: status, data: text });
    };
    const done = await client().postForm('wxfile://tmp.jpg', { object: 'mini.jpg' }, uploadFile);
    const lost = await outcome(client().postForm('x', { object: 'mini.jpg' }, ({ fail }) => fail({ errMsg: job.login })));
    return { done, lost, given };
  },
  async 'parts'() {
    const held = new Map();
    const store = { get: (id) => held.get(id) ?? null, set: (id, text) => held.set(id, text), remove: (id) => held.delete(id) };
    const wishes = { object: 'parts.bin', size: BIG, content_type: 'application/x-test' };
    const cut = (number, url) => /partNumber=2/.test(url) ? { status: 403, text: '<Code>AccessDenied</Code>' } : undefined;
    const first = client({ store, before: cut });
    const broken = await outcome(first.uploadParts(file(BIG), wishes));
    const kept = [...held.values()].join();
    const progress = [];
    const second = client({ store });
    const done = await second.uploadParts(file(BIG), wishes, { onProgress: (part) => progress.push(part) });
    return { broken, first: parts(first.sent), second: parts(second.sent), done, progress, left: held.size,
      keepsUrl: /https?:/.test(kept), keepsLogin: kept.includes(job.login) };
  },
  async 'parts given up'() {
    const made = client();
    const wishes = { object: 'given-up.bin', size: BIG };
    const controller = new AbortController();
    const onProgress = (part) => part && controller.abort();
    const stopped = await outcome(made.uploadParts(file(BIG), wishes, { id: 'x', onProgress, signal: controller.signal }));
    await made.abortParts('x');
    const last = made.sent.at(-1);
    await made.abortParts('x');
    return { stopped: stopped.name, method: last.method, isLast: made.sent.at(-1) === last };
  },
  async '203'() {
    const callback = '<Error><Code>CallbackFailed</Code><Message>Error status : 502.</Message></Error>';
    const isOss = (url) => !url.startsWith(job.url);
    const made = client({ before: (_, url) => isOss(url) ? { status: 203, text: callback } : undefined });
    return made.postForm(file(1), { object: 'told.txt' });
  },
  async 'the oss that is busy'() {
    let tries = 0;
    const before = (_, url) => !url.startsWith(job.url) && (tries += 1) < 3 ? { status: 503, text: '' } : undefined;
    return client({ before }).postForm(file(1), { object: 'busy.txt' });
  },
  async 'headers'() {
    const made = client({ headers: { 'X-Sandbox-Session': 'ab' } });
    await made.postForm(file(1), { object: 'h.txt' });
    return made.sent.map(({ headers }) => headers['X-Sandbox-Session']);
  },
  async 'uploads'() {
    const { Prefix, Uploads } = await client().uploads({ limit: 100 });
    return { Prefix, keys: Uploads.map(({ Key }) => Key.slice(Prefix.length)) };
  },
  'scope urls': () => [
    { Endpoint: 'https://oss-cn-hangzhou.aliyuncs.com', Bucket: 'b', Cname: false },
    { Endpoint: 'https://files.example.com', Bucket: 'b', Cname: true },
    { Endpoint: 'http://192.168.1.5:7081', Bucket: 'b', Cname: false },
    { Endpoint: 'http://files.localhost:7081', Bucket: 'b', Cname: true },
  ].map(scopeUrl),
  'is an error': () => new UploadError('a', 1, 'b') instanceof Error,
};

const results = {};
for (const [name, run] of Object.entries(cases)) results[name] = await run();
console.log(JSON.stringify(results));
