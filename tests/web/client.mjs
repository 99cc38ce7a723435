// Runs the client of web/client/ in Node, with the function and the sandbox's OSS. Reads {url, login, other,
// code} as JSON on stdin: `other` is another login of alice, `code` has the blocks of the docs. Prints the result
// of each case as JSON.

import { json } from 'node:stream/consumers';

import { UploadError, connect, scopeUrl } from '../../web/client/oss_upload.js';

const job = await json(process.stdin);
const PLATFORM_429 = '{"RequestId":"1-2","ErrorCode":"ResourceExhausted","ErrorMessage":"too many"}';

const fetched = async (url, options) => {
  const response = await fetch(url, options);
  return { status: response.status, text: await response.text(), header: (name) => response.headers.get(name) };
};

/** A client that records its requests. `before(number, url, options)` can return an answer or throw an error. */
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
      'no text': { status: 200, text: '{"StatusCode":403,"ErrorCode":{"toString":1},"ErrorMessage":[]}' },
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
    const broken = await outcome(first.uploadParts(file(BIG), wishes, { id: 'a' }));
    const kept = [...held.values()].join();
    const progress = [];
    const second = client({ store });
    const done = await second.uploadParts(file(BIG), wishes, {
      id: 'a', onProgress: (part) => progress.push(part) });
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
    return { stopped: stopped.code, method: last.method, isLast: made.sent.at(-1) === last };
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
  async 'parts without an id'() {
    const held = new Map();
    const store = { get: (id) => held.get(id) ?? null, set: (id, text) => held.set(id, text), remove() {} };
    const before = (_, url) => /partNumber=2/.test(url) ? { status: 403, text: '' } : undefined;
    const stopped = await outcome(client({ store, before }).uploadParts(new Blob([file(BIG)]), { object: 'b' }));
    return { stopped: stopped.code, kept: held.size };
  },
  async 'what is kept is spoilt'() {
    const held = new Map([['a', 'no JSON'], ['b', '{"Upload":"forged","upload_id":"x"}']]);
    const store = { get: (id) => held.get(id) ?? null, set: (id, text) => held.set(id, text),
      remove: (id) => held.delete(id) };
    const made = client({ store });
    const first = await made.uploadParts(file(3), { object: 'spoilt.bin' }, { id: 'a' });
    const forged = await outcome(made.uploadParts(file(3), { object: 'spoilt.bin' }, { id: 'b' }));
    const anew = await made.uploadParts(file(3), { object: 'spoilt.bin' }, { id: 'b' });
    return [first.status, forged.code, anew.status];
  },
  async 'two files of one name'() {
    const made = client();
    const options = made.uppy('multipart', ({ name }) => ({ object: name }));
    const keys = [];
    for (const [id, size] of [['1', BIG], ['2', 3]]) {
      const key = options.generateObjectKey({ id, size, name: 'same.bin', type: '' });
      keys.push((await options.signRequest({ method: 'POST', key })).key);
    }
    const step = { method: 'PUT', uploadId: 'x', partNumber: 2 };
    const [large, small] = await Promise.all(keys.map((key) => outcome(options.signRequest({ ...step, key }))));
    return { keys, large: /partNumber=2/.test(large.value?.url), small: small.code };
  },
  async 'an empty file'() {
    const options = client().uppy('multipart', () => ({ object: 'empty.txt' }));
    const key = options.generateObjectKey({ id: '1', size: 0, type: 'text/plain' });
    const { url, headers } = await options.signRequest({ method: 'PUT', key });
    return (await fetch(url, { method: 'PUT', headers, body: '' })).status;
  },
  async 'a sign that leads elsewhere'() {
    const told = [];
    for (const url of ['https://evil.example/', job.url.replace('//', '//evil.')]) {
      const options = client().uppy('token', () => ({ object: 'a' }), () => `${url}?Signature=1`);
      const key = options.generateObjectKey({ id: '1', size: 1 });
      told.push((await outcome(options.signRequest({ method: 'PUT', key }))).code);
    }
    const options = client().uppy('token', () => ({ name: 'auto' }), () => job.url);
    const unnamed = await outcome(options.signRequest({ method: 'PUT', key: '1' }));
    return [...told, unnamed.code];
  },
  async 'half of a character'() {
    const made = client();
    const object = 'a\ud800.txt';
    const { code } = await outcome(made.ask('signed-url', { object }));
    const posted = await outcome(made.ask('signed-url', { object }, 'POST'));
    return { code, posted: posted.code, status: posted.status };
  },
  async 'answers that tell what they were sent'() {
    const told = [];
    const echoes = [
      ({ headers }) => ({ status: 429, text: JSON.stringify({ ErrorCode: headers.Authorization, ErrorMessage: 'x' }) }),
      ({ headers }) => ({ status: 502, text: `<pre>${headers.Authorization}</pre>` }),
      ({ headers }) => { throw new Error(`no way to ${job.url} with ${headers.Authorization}`); },
    ];
    for (const echo of echoes) {
      told.push((await outcome(client({ before: (_, __, asked) => echo(asked) }).token())).all);
    }
    const isOss = (url) => !url.startsWith(job.url);
    const before = (_, url) => isOss(url) ? { status: 403, text: `<Code>SignatureDoesNotMatch</Code>${url}` } : undefined;
    told.push((await outcome(client({ before }).uploadParts(file(1), { object: 'a' }))).all);
    return told;
  },
  // This must be the last case, because it removes features that a mini program does not have.
  async 'a mini program has little'() {
    const few = ['URL', 'URLSearchParams', 'fetch', 'FormData', 'Headers', 'AbortController', 'localStorage'];
    const had = few.map((name) => [name, globalThis[name]]);
    const { at } = Array.prototype;
    for (const name of few) delete globalThis[name];
    delete Array.prototype.at; // ES2022
    const answer = JSON.stringify({ StatusCode: 200, Url: 'https://b.example/', Fields: { key: 'k' }, Object: 'k' });
    const made = connect({ url: job.url, request: async () => ({ status: 200, text: answer }) });
    const uploadFile = ({ success }) => success({ statusCode: 200, data: '' });
    const { key } = await made.postForm('wxfile://a', { object: 'ü' }, uploadFile);
    const where = scopeUrl({ Endpoint: 'https://oss-cn-hangzhou.aliyuncs.com', Bucket: 'b' });
    Object.assign(globalThis, Object.fromEntries(had.filter(([, one]) => one)));
    Object.defineProperty(Array.prototype, 'at', { value: at, configurable: true, writable: true });
    return { key, where };
  },
  'is an error': () => new UploadError('a', 1, 'b') instanceof Error,
};

const results = {};
for (const [name, run] of Object.entries(cases)) results[name] = await run();
console.log(JSON.stringify(results));
