// Uses ali-oss with a token as an app does, and returns the outcome of each step. Node and pages use the same
// code. The job is {token, endpoint, cname, bucket, prefix, outside, authorizationV4}. With `cname` the
// endpoint is the bucket's own domain.

const PART = 100 * 1024; // the smallest part that OSS accepts, in bytes

/**
 * Put, upload in parts, resume, abort, get and list under the prefix. Then try operations that are refused.
 * `blob` and `file` turn bytes into the data that the caller uses: a Buffer, a Blob or a File.
 */
export async function useToken(OSS, job, { blob, file }) {
  const connect = () =>
    new OSS({
      accessKeyId: job.token.AccessKeyId,
      accessKeySecret: job.token.AccessKeySecret,
      stsToken: job.token.SecurityToken,
      bucket: job.bucket,
      endpoint: job.endpoint,
      cname: job.cname,
      sldEnable: !job.cname,
      region: 'oss-cn-hangzhou',
      authorizationV4: job.authorizationV4,
      timeout: 10000,
    });
  const client = connect();
  const small = `${job.prefix}hello ü+%2F.txt`;
  const large = file(bytes(4 * PART + 5));

  return {
    put: await outcome(async () => {
      const body = blob(new TextEncoder().encode('Hello from a phone'));
      const { res } = await client.put(small, body, { meta: { from: 'phone' } });
      return { status: res.status, etag: res.headers.etag };
    }),
    get: await outcome(async () => {
      const { content } = await client.get(small);
      return new TextDecoder().decode(content);
    }),
    multipart: await outcome(() => uploadInParts(client, `${job.prefix}parts`, large)),
    resume: await outcome(() => resume(connect, `${job.prefix}resumed`, large)),
    abort: await outcome(() => abort(client, `${job.prefix}aborted`, large)),
    list: await outcome(() => list(client, job.prefix)),
    listV2: await outcome(() => listV2(client, job.prefix)),
    image: await outcome(() => image(client, `${job.prefix}image.png`, job.image, blob)),
    refused: await refused(client, job, small, blob, large),
  };
}

async function uploadInParts(client, name, large) {
  const progress = [];
  const { res } = await client.multipartUpload(name, large, {
    partSize: PART,
    parallel: 3,
    progress: (done) => void progress.push(done),
  });
  const { content } = await client.get(name);
  return { status: res.status, progress, length: content.length };
}

/** Stop after two parts. Then continue with a new client and a checkpoint that was stored as text. */
async function resume(connect, name, large) {
  const first = connect();
  let kept;
  const stopped = await outcome(() =>
    first.multipartUpload(name, large, {
      partSize: PART,
      parallel: 1,
      progress: (done, checkpoint) => {
        kept = JSON.stringify({ ...checkpoint, file: undefined });
        if (checkpoint.doneParts.length === 2) first.cancel();
      },
    }),
  );
  const checkpoint = { ...JSON.parse(kept), file: large };
  const before = checkpoint.doneParts.length;
  const progress = [];
  await connect().multipartUpload(name, large, {
    checkpoint,
    parallel: 1,
    progress: (done) => void progress.push(done),
  });
  return { stopped: stopped.error, before, progress };
}

async function abort(client, name, large) {
  const { uploadId } = await client.initMultipartUpload(name);
  await client.uploadPart(name, uploadId, 1, large, 0, PART);
  const { parts } = await client.listParts(name, uploadId);
  const { res } = await client.abortMultipartUpload(name, uploadId);
  const after = await outcome(() => client.listParts(name, uploadId));
  return { parts: [parts].flat().length, status: res.status, after: after.error };
}

async function list(client, prefix) {
  const pages = [];
  let marker = null; // undefined would be sent as an empty value, but V4 would sign it as absent
  do {
    const page = await client.list({ prefix, marker, 'max-keys': 2 });
    pages.push(page.objects.map(({ name }) => name));
    marker = page.nextMarker;
  } while (marker);
  return pages;
}

async function listV2(client, prefix) {
  const pages = [];
  let continuationToken;
  do {
    const page = await client.listV2({ prefix, continuationToken, 'max-keys': 2 });
    pages.push(page.objects.map(({ name }) => name));
    continuationToken = page.nextContinuationToken;
  } while (continuationToken);
  return pages;
}

/** Put a PNG, which is given in base64. Get a smaller picture, also by a signed URL, and its information. */
async function image(client, name, base64, blob) {
  await client.put(name, blob(Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))));
  const process = 'image/resize,w_20/format,webp';
  const { content, res } = await client.get(name, { process });
  const queries = { 'x-oss-process': process };
  const url = client.options.authorizationV4
    ? await client.signatureUrlV4('GET', 60, { queries }, name)
    : client.signatureUrl(name, { process });
  const signed = await fetch(url);
  const info = await client.get(name, { process: 'image/info' });
  return {
    type: res.headers['content-type'],
    head: Array.from(content.slice(8, 12)),
    signed: [signed.status, (await signed.arrayBuffer()).byteLength === content.length],
    info: JSON.parse(new TextDecoder().decode(info.content)),
  };
}

async function refused(client, job, small, blob, large) {
  const attempts = {
    put: () => client.put(`${job.outside}mine`, blob(bytes(1))),
    multipart: () => client.multipartUpload(`${job.outside}mine`, large, { partSize: PART }),
    get: () => client.get(`${job.outside}theirs`),
    list: () => client.list({ prefix: job.outside }),
    'list everything': () => client.list({ prefix: '' }),
    'list without a prefix': () => client.list(),
    listV2: () => client.listV2({ prefix: job.outside }),
    'other uploads': () => client.listUploads({}),
    delete: () => client.delete(small),
  };
  const outcomes = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    outcomes[name] = await outcome(attempt);
  }
  return outcomes;
}

/** The result of an attempt: {value}, or {error} if it was refused or failed. */
async function outcome(attempt) {
  try {
    return { value: await attempt() };
  } catch ({ name, code, status, message }) {
    return { error: { name, code, status, message } };
  }
}

/** The values 0 to 250, again and again. A part in a wrong place changes the content. The Python test makes the same
 * bytes. */
function bytes(size) {
  return Uint8Array.from({ length: size }, (_, place) => place % 251);
}
