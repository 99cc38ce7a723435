// Uploads to OSS with the token function: for pages, Node and mini programs. docs/web.md has the reference.

const SPARE_SECONDS = 300; // a new token is requested when the old one expires within this time
const TRIES = 4;
const FIRST_WAIT_MS = 500;
const PARTS_AT_ONCE = 4;
const PART = 5 * 1024 * 1024; // the part size that /multipart signs
const SIGNED_SECONDS = 900;
const ACTIONS = { GET: 'list', POST: 'complete', DELETE: 'abort' };
const GONE = ['NoSuchUpload', 'UploadRefused']; // codes of an upload in parts that cannot continue
const BINARY = 'application/octet-stream';

/** A refusal of the function or OSS, or a missing answer. The error never holds a URL, a login or a token. */
export class UploadError extends Error {
  constructor(code, status, message, retryable = false, seconds = 0) {
    super(message);
    Object.assign(this, { name: 'UploadError', code, status, retryable, seconds });
  }
}

/**
 * The URL of a token's objects. Its host is the bucket's own domain, or `bucket.endpoint`. If the endpoint is an IP
 * address, the bucket is in the path.
 */
export function scopeUrl({ Endpoint, Bucket, Cname }) {
  const [, scheme, host, name] = /^(https?:\/\/)((.+?)(?::\d+)?)\/*$/.exec(Endpoint);
  if (Cname) return `${scheme}${host}/`;
  const isAddress = /^[\d.]+$|^\[|(^|\.)localhost$/.test(name);
  return isAddress ? `${scheme}${host}/${Bucket}/` : `${scheme}${Bucket}.${host}/`;
}

/** A client of one function, for one caller. See oss_upload.d.ts for the options. */
export function connect({ url, login, wishes: always = {}, headers: more = {}, store = keptText(),
  request = fetched, now = Date.now, sleep = slept, random = Math.random }) {
  const base = `${url}`.replace(/\/*$/, '/');
  const tokens = new Map(); // wishes -> {answer: a promise, until: ms}

  /** Retry a temporary failure, at most three times, with growing pauses. */
  const patiently = async (send) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send();
      } catch (error) {
        if (!error.retryable || tries === TRIES) throw error;
        await sleep(error.seconds * 1000 + random() * FIRST_WAIT_MS * 2 ** tries);
      }
    }
  };
  const sent = async (to, options) => {
    try {
      if (!options.signal?.aborted) return await request(to, options);
    } catch { /* the error's message may contain the URL */ }
    if (options.signal?.aborted) throw new UploadError('Aborted', 0, 'it was aborted');
    throw new UploadError('Network', 0, 'there was no answer', true);
  };
  const asked = async (path, wishes, method, isAgain = false) => {
    const held = typeof login === 'function' ? await login(isAgain) : login;
    const headers = { ...more, ...(held && { Authorization: `Bearer ${held}` }) };
    const pairs = Object.entries({ ...always, ...wishes }).filter(([, value]) => value !== undefined);
    const isPost = method === 'POST';
    const query = isPost ? '' : pairs.map((pair) => pair.map(encoded).join('=')).join('&');
    if (isPost) headers['Content-Type'] = 'application/json';
    const body = isPost ? JSON.stringify(Object.fromEntries(pairs)) : undefined;
    try {
      return answerOf(await sent(`${base}${path}${query && '?'}${query}`, { method, headers, body }));
    } catch (error) {
      if (error.status !== 401 || typeof login !== 'function' || isAgain) throw error;
      return asked(path, wishes, method, true);
    }
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
      // Both times are by the server's clock, because a phone's clock may be wrong.
      const life = (Date.parse(Expiration) - Date.parse(LastUpdated)) / 1000;
      fresh.until = now() + 1000 * (life - Math.min(SPARE_SECONDS, life / 2));
    }).catch(() => tokens.get(name) === fresh && tokens.delete(name));
    return fresh.answer;
  };

  /**
   * Each way to upload has one function here, which returns a signed request to OSS. The function's second argument
   * is the step that Uppy wants: {method, key, uploadId, partNumber}.
   */
  const signers = {
    async token(wishes, { method, key, uploadId, partNumber }, sign) {
      const held = await token();
      const { Prefix, Callback, CallbackVar } = held.Scope;
      if (!uploadId && !wishes.object) throw new UploadError('InvalidParameter.Object', 400, 'no object');
      const isEnd = uploadId ? method === 'POST' : method === 'PUT';
      const type = uploadId ? isEnd && 'application/xml' : wishes.content_type;
      const object = uploadId ? key : `${Prefix}${wishes.object}`;
      const query = {
        ...(method === 'POST' && !uploadId && { uploads: '' }),
        ...(uploadId && { uploadId }),
        ...(partNumber && { partNumber: `${partNumber}` }),
      };
      const headers = {
        ...(type && { 'Content-Type': type }),
        ...(isEnd && Callback && { 'x-oss-callback': Callback }),
        ...(isEnd && CallbackVar && { 'x-oss-callback-var': CallbackVar }),
      };
      const signed = await sign(held, { method, key: object, query, headers, seconds: SIGNED_SECONDS });
      if (signed.startsWith(scopeUrl(held.Scope))) return { url: signed, headers, key: object };
      throw new UploadError('InvalidAnswer', 0, 'sign() made a URL outside of Scope: use its Endpoint');
    },
    async 'signed-url'(wishes) {
      const { Url, Headers, Object: key } = await ask('signed-url', { method: 'PUT', ...wishes });
      return { url: Url, headers: Headers, key };
    },
    async form({ size: _, ...wishes }) {
      const { Url, Fields, Object: key } = await ask('form', wishes);
      return { url: Url, fields: Fields, key };
    },
    async multipart(wishes, { method, uploadId, partNumber, after }, _, Upload) {
      const step = partNumber ? { parts: [partNumber] } : { action: ACTIONS[method], after };
      const answer = await ask('multipart', uploadId ? { Upload, upload_id: uploadId, ...step } : wishes);
      const { Url, Headers } = answer.Parts?.[0] ?? answer;
      return { url: Url, headers: Headers, key: answer.Object, answer };
    },
  };

  /** Options of @uppy/aws-s3 6: Uppy sends the requests, and this client signs them. See oss_upload.d.ts. */
  const uppy = (way, wishesOf, sign) => {
    const files = new Map(); // the file's id -> the file. Uppy uses the id as the key until it gets a key
    const sealed = new Map(); // key of an upload in parts -> its Upload
    return {
      shouldUseMultipart: way === 'multipart',
      getChunkSize: () => PART,
      generateObjectKey(file) {
        files.set(file.id, file);
        if (file.s3Multipart) sealed.set(file.s3Multipart.key, store.get(file.id));
        return file.id;
      },
      async signRequest(step) {
        const { method, key, uploadId } = step;
        const file = files.get(key) ?? {};
        const wishes = uploadId ? {} : { content_type: file.type || BINARY, size: file.size, ...wishesOf(file) };
        // An empty file has no parts, so it is uploaded by a signed URL.
        const by = way === 'multipart' && method === 'PUT' && !uploadId ? 'signed-url' : way;
        const { answer, ...signed } = await signers[by](wishes, step, sign, sealed.get(key));
        if (by === 'multipart' && !uploadId) {
          if (sealed.has(signed.key)) signed.key = key; // another file has that name
          sealed.set(signed.key, answer.Upload);
          store.set(file.id, answer.Upload);
        }
        return { ...signed, headers: { ...signed.headers, ...more } };
      },
    };
  };

  const toOss = (method, { url: to, headers }, body, signal) => patiently(async () =>
    storedOf(await sent(to, { method, headers: { ...headers, ...more }, body, signal })));

  /** Upload by a form, without Uppy. In a mini program, `uploadFile` is wx.uploadFile, and `file` is a path. */
  const postForm = async (file, wishes, uploadFile) => {
    const { url: to, fields, key } = await signers.form(wishes);
    if (!uploadFile) {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      form.append('file', file); // it must be last: OSS ignores fields after it
      return { key, ...(await toOss('POST', { url: to }, form)) };
    }
    const once = () => new Promise((success, fail) => {
      uploadFile({ url: to, filePath: file, name: 'file', formData: fields, header: more, success,
        fail: () => fail(new UploadError('Network', 0, 'there was no answer', true)) });
    });
    return { key, ...(await patiently(async () => {
      const { statusCode, data } = await once();
      return storedOf({ status: statusCode, text: data });
    })) };
  };

  /** Upload in parts, without Uppy. If it is called again with the same `id`, it sends only the missing parts. */
  const uploadParts = async (file, wishes, { id, onProgress, signal } = {}) => {
    const begun = id ? begunAs(id) : {};
    const step = async (method, detail, body) => {
      try {
        const request = { method, uploadId: begun.upload_id, ...detail };
        const all = { content_type: file.type || BINARY, size: file.size, ...wishes };
        const signed = await signers.multipart(all, request, undefined, begun.Upload);
        return { ...(await toOss(method, signed, body, signal)), ...signed };
      } catch (error) {
        if (id && GONE.includes(error.code)) store.remove(id);
        throw error;
      }
    };
    if (!begun.Upload) {
      const { text, answer } = await step('POST');
      Object.assign(begun, { Upload: answer.Upload, upload_id: within(text, 'UploadId')[0] });
      if (id) store.set(id, JSON.stringify(begun));
    }
    const list = async () => {
      const tags = new Map();
      for (let after; ;) {
        const { text, answer } = await step('GET', { after });
        const numbers = within(text, 'PartNumber').map(Number);
        within(text, 'ETag').forEach((tag, at) => tags.set(numbers[at], tag));
        if (within(text, 'IsTruncated')[0] !== 'true') return { tags, ...answer };
        after = numbers[numbers.length - 1];
      }
    };
    const { tags: done, PartCount } = await list();
    const left = Array.from({ length: PartCount }, (_, at) => at + 1).filter((number) => !done.has(number));
    let ready = done.size;
    onProgress?.(ready / PartCount);
    const send = async () => {
      for (let number; (number = left.shift());) {
        await step('PUT', { partNumber: number }, file.slice((number - 1) * PART, number * PART));
        onProgress?.((ready += 1) / PartCount);
      }
    };
    const sending = () => send().catch((error) => {
      left.length = 0; // the other senders stop after their current part
      return error;
    });
    const fault = (await Promise.all(Array.from({ length: PARTS_AT_ONCE }, sending))).find(Boolean);
    if (fault) throw fault;
    const part = ([number, tag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${tag}</ETag></Part>`;
    const parts = Array.from((await list()).tags, part).join('');
    const { key, status, text } =
      await step('POST', {}, `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`);
    if (id) store.remove(id);
    return { key, status, text };
  };

  /** Abort an upload of uploadParts, and let OSS remove its parts. */
  const abortParts = async (id) => {
    const { Upload, upload_id: uploadId } = begunAs(id);
    if (!Upload) return;
    store.remove(id);
    await toOss('DELETE', await signers.multipart({}, { method: 'DELETE', uploadId }, undefined, Upload));
  };

  const begunAs = (id) => {
    try {
      return JSON.parse(store.get(id)) ?? {};
    } catch {
      return {}; // another program stored this text
    }
  };

  return {
    store,
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

/** The function's answer. Throws UploadError, from the body's StatusCode or from the platform's answer. */
function answerOf({ status, text, header }) {
  const seconds = Math.min(Math.max(Number(header?.('Retry-After')) || 0, 0), 60);
  let answer;
  try {
    answer = JSON.parse(text);
  } catch { /* for example the page of a proxy */ }
  const told = answer?.StatusCode;
  if (told === 200) return answer;
  // A 500 of the function means a wrong configuration, which is permanent. Every 5xx of the platform is temporary.
  if (told && typeof answer.ErrorCode === 'string') {
    const said = typeof answer.ErrorMessage === 'string' ? answer.ErrorMessage : '';
    throw new UploadError(answer.ErrorCode, told, said, told === 429 || told === 503, seconds);
  }
  const code = status === 429 ? 'Throttling' : 'InvalidAnswer';
  const message = `HTTP ${status}: this answer is not from the token function`;
  throw new UploadError(code, status, message, status === 429 || status >= 500, seconds);
}

/** OSS's answer to an upload. 203 is a success: the object is stored, but the callback failed. Throws UploadError. */
function storedOf({ status, text }) {
  if (status >= 200 && status < 300) return { status, text };
  const [code = 'InvalidAnswer'] = within(text, 'Code');
  const [message = `HTTP ${status}: this answer is not from OSS`] = within(text, 'Message');
  throw new UploadError(code, status, message, status === 429 || status >= 500);
}

const within = (xml, name) => Array.from(`${xml}`.matchAll(`<${name}>(.*?)</${name}>`), ([, text]) => text);

function encoded(text) {
  try {
    return encodeURIComponent(text);
  } catch {
    throw new UploadError('InvalidParameter', 400, 'a wish has an incomplete character (a lone surrogate)');
  }
}

async function fetched(url, options) {
  const response = await fetch(url, options);
  const header = (name) => response.headers.get(name);
  return { status: response.status, text: await response.text(), header };
}

const slept = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Stores the state of uploads in the browser's storage, which survives a reload, or else in memory. */
function keptText() {
  const held = new Map();
  let kept;
  try {
    kept = localStorage;
  } catch { /* there is no storage, or it is not allowed */ }
  const name = (id) => `oss_upload ${id}`;
  return {
    get: (id) => (kept ? kept.getItem(name(id)) : held.get(id) ?? null),
    set: (id, text) => (kept ? kept.setItem(name(id), text) : held.set(id, text)),
    remove: (id) => (kept ? kept.removeItem(name(id)) : held.delete(id)),
  };
}
