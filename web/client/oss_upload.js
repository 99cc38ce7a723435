// Uploads to OSS by the token function: for pages, Node and mini programs. docs/web.md has the reference.

const SPARE_SECONDS = 300; // what is left of a token when another is asked for
const TRIES = 4;
const AT_ONCE = 4; // parts
const FIRST_WAIT_MS = 500;
const SIGNED_SECONDS = 900;
const ACTIONS = { GET: 'list', POST: 'complete', DELETE: 'abort' };
const XML = { 'Content-Type': 'application/xml' };

/** What the function or OSS refused, or what got no answer. It never holds a URL, a login or a token. */
export class UploadError extends Error {
  constructor(code, status, message, retryable = false) {
    super(message);
    Object.assign(this, { name: 'UploadError', code, status, retryable });
  }
}

/** Where a token's objects are: the bucket's own domain, or its host, or by an address its path. */
export function scopeUrl({ Endpoint, Bucket, Cname }) {
  const { protocol, host, hostname } = new URL(Endpoint);
  if (Cname) return `${protocol}//${host}/`;
  const isAddress = /^[\d.]+$|^\[|(^|\.)localhost$/.test(hostname);
  return isAddress ? `${protocol}//${host}/${Bucket}/` : `${protocol}//${Bucket}.${host}/`;
}

/** A client of one function, for one caller. See oss_upload.d.ts for the options. */
export function connect({ url, login, wishes: always = {}, headers: more = {}, store = keptText(),
  request = fetched, now = Date.now, sleep = slept, random = Math.random }) {
  const base = `${url}`.replace(/\/*$/, '/');
  const tokens = new Map(); // wishes -> {answer: a promise, until: ms}

  /** Send it again, at most three times, where the fault may pass; between tries longer and longer. */
  const patiently = async (send) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send();
      } catch (error) {
        if (!error.retryable || tries === TRIES) throw error;
        const longest = FIRST_WAIT_MS * 2 ** tries;
        await sleep(Math.max(random() * longest, (error.seconds ?? 0) * 1000));
      }
    }
  };
  const sent = async (to, options) => {
    try {
      return await request(to, options);
    } catch (error) {
      if (error?.name === 'AbortError') throw error;
      throw new UploadError('Network', 0, 'there was no answer', true);
    }
  };
  const asked = async (path, wishes, method, isAgain = false) => {
    const held = typeof login === 'function' ? await login(isAgain) : login;
    const headers = { ...more, ...(held && { Authorization: `Bearer ${held}` }) };
    const pairs = Object.entries({ ...always, ...wishes }).filter(([, value]) => value !== undefined);
    const query = pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
    const isPost = method === 'POST';
    if (isPost) headers['Content-Type'] = 'application/json';
    const to = `${base}${path}${isPost || !query ? '' : `?${query}`}`;
    const body = isPost ? JSON.stringify(Object.fromEntries(pairs)) : undefined;
    const answer = read(await sent(to, { method, headers, body }));
    if (!(answer instanceof UploadError)) return answer;
    const mayAsk = answer.status === 401 && typeof login === 'function' && !isAgain;
    if (mayAsk) return asked(path, wishes, method, true);
    throw answer;
  };
  const ask = (path, wishes = {}, method = path === 'multipart' ? 'POST' : 'GET') =>
    patiently(() => asked(path, wishes, method));

  const token = (wishes = {}) => {
    const name = JSON.stringify(Object.entries(wishes).sort());
    const known = tokens.get(name);
    if (known && now() < known.until) return known.answer;
    const fresh = { answer: ask('', wishes), until: Infinity };
    tokens.set(name, fresh);
    fresh.answer.then(({ Expiration, LastUpdated }) => {
      // By the server's clock: that of a phone may be wrong.
      const life = (Date.parse(Expiration) - Date.parse(LastUpdated)) / 1000;
      fresh.until = now() + 1000 * (life - Math.min(SPARE_SECONDS, life / 2));
    }).catch(() => tokens.get(name) === fresh && tokens.delete(name));
    return fresh.answer;
  };

  /** One request of OSS, signed. `of` is what it is signed for, by the way. */
  const signers = {
    async token(wishes, { method, key, uploadId, partNumber }, sign) {
      const held = await token();
      const { Prefix, Callback, CallbackVar } = held.Scope;
      const isStart = method === 'POST' && !uploadId;
      const query = {
        ...(isStart && { uploads: '' }),
        ...(uploadId && { uploadId }),
        ...(partNumber && { partNumber: `${partNumber}` }),
      };
      const ends = Callback && (uploadId ? method === 'POST' : method === 'PUT');
      const headers = {
        ...(uploadId ? method === 'POST' && XML : { 'Content-Type': wishes.content_type }),
        ...(ends && { 'x-oss-callback': Callback, 'x-oss-callback-var': CallbackVar }),
      };
      const object = uploadId ? key : `${Prefix}${wishes.object}`;
      const url = await sign(held, { method, key: object, query, headers, seconds: SIGNED_SECONDS });
      return { url, headers, key: object };
    },
    async 'signed-url'({ size, ...wishes }) {
      const { Url, Headers, Object: key } = await ask('signed-url', { method: 'PUT', size, ...wishes });
      return { url: Url, headers: Headers, key };
    },
    async form({ size: _, ...wishes }) {
      const { Url, Fields, Object: key } = await ask('form', wishes);
      return { url: Url, fields: Fields, headers: {}, key };
    },
    async multipart(wishes, { method, uploadId, partNumber, after }, _, Upload) {
      const action = ACTIONS[method];
      const step = partNumber ? { parts: [partNumber] } : { action, ...(after && { after }) };
      const answer = await ask('multipart', uploadId ? { Upload, upload_id: uploadId, ...step } : wishes);
      const { Url, Headers } = answer.Parts?.[0] ?? answer;
      return { url: Url, headers: Headers, key: answer.Object, answer };
    },
  };

  /** Options of @uppy/aws-s3 6: Uppy sends, this signs. See oss_upload.d.ts. */
  const uppy = (way, wishesOf, sign) => {
    const files = new Map(); // what Uppy calls a file until it has its key -> the file
    const sealed = new Map(); // object key -> its Upload
    return {
      shouldUseMultipart: way === 'multipart',
      getChunkSize: () => 5 * 1024 * 1024,
      generateObjectKey(file) {
        files.set(file.id, file);
        const { key } = file.s3Multipart ?? {};
        if (key) sealed.set(key, store.get(file.id));
        return file.id;
      },
      async signRequest(step) {
        const { key, uploadId } = step;
        const file = files.get(key);
        const wishes = file && wishesOf(file);
        const signed = await signers[way](wishes, step, sign, sealed.get(key));
        if (way === 'multipart' && !uploadId) {
          sealed.set(signed.key, signed.answer.Upload);
          store.set(file.id, signed.answer.Upload);
        }
        const { url: to, key: object, fields, headers } = signed;
        return { url: to, key: object, fields, headers: { ...headers, ...more } };
      },
    };
  };

  const toOss = (method, { url: to, headers }, body, signal) => patiently(async () =>
    stored(await sent(to, { method, headers: { ...headers, ...more }, body, signal })));

  /** Upload by a form, without Uppy; `uploadFile` is that of a mini program, and `file` a path there. */
  const postForm = async (file, wishes, uploadFile) => {
    const { url: to, fields, key } = await signers.form(wishes);
    if (!uploadFile) {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      form.append('file', file); // the last one: OSS reads nothing behind it
      return { key, ...(await toOss('POST', { url: to }, form)) };
    }
    const { statusCode, data } = await new Promise((success, fail) => {
      uploadFile({ url: to, filePath: file, name: 'file', formData: fields, success,
        fail: () => fail(new UploadError('Network', 0, 'there was no answer', true)) });
    });
    return { key, ...stored({ status: statusCode, text: data }) };
  };

  /** Upload in parts, without Uppy; called again with the same `id`, it sends only what is missing. */
  const uploadParts = async (file, wishes, { id = nameOf(file), onProgress, signal } = {}) => {
    const begun = JSON.parse(store.get(id) ?? 'null') ?? {};
    const step = async (method, detail, body) => {
      const request = { method, uploadId: begun.upload_id, ...detail };
      const signed = await signers.multipart(wishes, request, undefined, begun.Upload);
      try {
        return { ...(await toOss(method, signed, body, signal)), ...signed };
      } catch (error) {
        if (error.code === 'NoSuchUpload') store.remove(id); // completed, aborted or removed
        throw error;
      }
    };
    if (!begun.Upload) {
      const { text, answer } = await step('POST', {});
      Object.assign(begun, { Upload: answer.Upload, upload_id: within(text, 'UploadId')[0] });
      store.set(id, JSON.stringify(begun));
    }
    const list = async () => {
      const tags = new Map();
      for (let after; ;) {
        const { text, answer } = await step('GET', { after });
        const numbers = within(text, 'PartNumber').map(Number);
        within(text, 'ETag').forEach((tag, at) => tags.set(numbers[at], tag));
        if (within(text, 'IsTruncated')[0] !== 'true') return { tags, ...answer };
        after = numbers.at(-1);
      }
    };
    const { tags: done, PartCount, PartSize } = await list();
    const left = Array.from({ length: PartCount }, (_, at) => at + 1).filter((number) => !done.has(number));
    let sentParts = done.size;
    onProgress?.(sentParts / PartCount);
    const worker = async () => {
      for (let number; (number = left.shift()) !== undefined;) {
        const from = (number - 1) * PartSize;
        await step('PUT', { partNumber: number }, file.slice(from, from + PartSize)).catch((error) => {
          left.length = 0; // the others end with the part that they send
          throw error;
        });
        onProgress?.((sentParts += 1) / PartCount);
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
    for (const { status, reason } of ended) if (status === 'rejected') throw reason;
    const part = ([number, tag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${tag}</ETag></Part>`;
    const parts = Array.from((await list()).tags, part).join('');
    const xml = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    const { key, status, text } = await step('POST', {}, xml);
    store.remove(id);
    return { key, status, text };
  };

  /** Give up what uploadParts began, and have OSS remove its parts. */
  const abortParts = async (id) => {
    const { Upload, upload_id: uploadId } = JSON.parse(store.get(id) ?? '{}');
    if (!Upload) return;
    await toOss('DELETE', await signers.multipart({}, { method: 'DELETE', uploadId }, undefined, Upload));
    store.remove(id);
  };

  return {
    ask,
    token,
    forget: () => tokens.clear(),
    uploads: (wishes) => ask('uploads', wishes),
    uppy,
    postForm,
    uploadParts,
    abortParts,
  };
}

/** The function's answer, or what it refused: by the body's StatusCode, or as the platform says it. */
function read({ status, text, header }) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch { /* a proxy's page, say */ }
  if (answer?.StatusCode === 200) return answer;
  const isOurs = Number.isInteger(answer?.StatusCode);
  const told = isOurs ? answer.StatusCode : status;
  // Of ours 500 is a wrong configuration, which stays; of the platform's own every 5xx may pass.
  const retryable = told === 429 || (isOurs ? told === 503 : told >= 500);
  const code = answer?.ErrorCode ?? (told === 429 ? 'Throttling' : 'InvalidAnswer');
  const message = answer?.ErrorMessage ?? 'the answer is none of the function\'s';
  const error = new UploadError(code, told, message, retryable);
  const seconds = Number(header?.('Retry-After'));
  return Object.assign(error, { seconds: seconds > 0 ? Math.min(seconds, 60) : 0 });
}

/** OSS's answer to an upload; 203 is one: stored, and the callback failed. Throws UploadError. */
function stored({ status, text }) {
  if (status >= 200 && status < 300) return { status, text };
  const code = within(text, 'Code')[0] ?? 'InvalidAnswer';
  throw new UploadError(code, status, within(text, 'Message')[0] ?? '', status === 429 || status >= 500);
}

const within = (xml, name) => Array.from(`${xml}`.matchAll(`<${name}>(.*?)</${name}>`), ([, text]) => text);

async function fetched(url, options) {
  const response = await fetch(url, options);
  const header = (name) => response.headers.get(name);
  return { status: response.status, text: await response.text(), header };
}

const nameOf = ({ name, size, lastModified }) => `${name} ${size} ${lastModified}`;

const slept = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Where an upload is remembered over a reload: the browser's storage where there is one. */
function keptText() {
  const prefix = 'oss_upload ';
  const { localStorage: kept } = globalThis;
  if (!kept) {
    const held = new Map();
    return {
      get: (id) => held.get(id) ?? null,
      set: (id, text) => held.set(id, text),
      remove: (id) => held.delete(id),
    };
  }
  return {
    get: (id) => kept.getItem(prefix + id),
    set: (id, text) => kept.setItem(prefix + id, text),
    remove: (id) => kept.removeItem(prefix + id),
  };
}
