// Reading what is stored, as the caller: by a signed URL of the function, or where that way is closed by the
// token. No URL with a signature stays in the document: pictures are fetched, and shown from memory.

import { sign } from './ways.js';
import { elementOf } from './xml.js';

const PICTURE = /\.(jpe?g|png|gif|webp|bmp|avif|heic|tiff?)$/i;
const TOKEN_SECONDS = 300;
const PROCESS = 'x-oss-process';
const DISPOSITION = 'response-content-disposition';

/** Whether OSS can make a picture of an object of this name. */
export const isPicture = (key) => PICTURE.test(key);

/** Whether an error means that the policy in use does not allow to read. */
export const isUnreadable = ({ code }) => code === 'NotAllowed' || code === 'AccessDenied';

/**
 * Fetch an object under the caller's `prefix`, processed by OSS where `process` says how (`image/…`).
 * @returns {Promise<Blob>}
 * @throws {{code: string, status: number, message: string}} as the function or OSS refused
 */
export async function read(at, prefix, key, process) {
  const url = await urlOf(at, prefix, key, process ? { [PROCESS]: process } : {});
  let response;
  try {
    response = await fetch(url, { headers: at.headers });
  } catch {
    throw Object.assign(new Error(''), { code: 'Network', status: 0 });
  }
  const { status } = response;
  const text = response.ok ? '' : await response.text();
  const code = elementOf(text, 'Code');
  at.emit('request', { server: 'OSS', method: 'GET', path: key, status, code });
  if (!response.ok) throw Object.assign(new Error(elementOf(text, 'Message') ?? ''), { code, status });
  return response.blob();
}

/** Have the browser store an object as a file of this name; `process` as in read(). */
export async function download(at, prefix, key, name, process) {
  const disposition = `attachment; filename*=UTF-8''${encoded(name)}`;
  const href = await urlOf(at, prefix, key, { [DISPOSITION]: disposition, ...(process ? { [PROCESS]: process } : {}) });
  // Never a part of the document. Another tab: an answer that is no download would replace the page.
  Object.assign(document.createElement('a'), { href, target: '_blank', rel: 'noopener noreferrer' }).click();
}

/** A URL of the object, signed. Throws what is no answer of the function, a `javascript:` say. */
async function urlOf(at, prefix, key, wishes) {
  const url = await signedOf(at, prefix, key, wishes);
  if (/^https?:/i.test(url)) return url;
  throw Object.assign(new Error('no URL of an object'), { code: 'InvalidAnswer', status: 0 });
}

async function signedOf(at, prefix, key, wishes) {
  const object = key.slice(prefix.length);
  if (at.ways['signed-url'] !== 'closed' || at.ways.token === 'closed') {
    return (await at.client().ask('signed-url', { object, method: 'GET', ...wishes })).Url;
  }
  const token = await at.client().token();
  return sign(token, { method: 'GET', key, query: wishes, headers: {}, seconds: TOKEN_SECONDS });
}

/** Percent-encoded as RFC 8187 has it: encodeURIComponent leaves some that it does not allow. */
const encoded = (name) =>
  encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, '_'))
    .replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
