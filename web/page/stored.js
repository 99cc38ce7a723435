// Reads stored objects as the caller, by a signed URL of the function. If the function signs no
// URLs, the token is used. The page fetches a picture by its signed URL and then shows it from memory, so no
// signed URL stays in the document.

import { sign } from './ways.js';
import { elementOf } from './xml.js';

const PICTURE = /\.(jpe?g|png|gif|webp|bmp|avif|heic|tiff?)$/i;
const TOKEN_SECONDS = 300;
const PROCESS = 'x-oss-process';
const DISPOSITION = 'response-content-disposition';

/** Whether OSS can make a picture of an object with this name. */
export const isPicture = (key) => PICTURE.test(key);

/** Whether an error means that the user's policy does not allow the user to read objects. */
export const isUnreadable = ({ code }) => code === 'NotAllowed' || code === 'AccessDenied';

/**
 * Fetch an object under the caller's `prefix`. If `process` (`image/…`) is given, OSS processes the object.
 * @returns {Promise<Blob>}
 * @throws {{code: string, status: number, message: string}} the refusal of the function or OSS
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

/** Let the browser download an object as a file with this name; `process` is as in read(). */
export async function download(at, prefix, key, name, process) {
  const disposition = `attachment; filename*=UTF-8''${encoded(name)}`;
  const href = await urlOf(at, prefix, key, { [DISPOSITION]: disposition, ...(process ? { [PROCESS]: process } : {}) });
  // The link is never added to the document. It opens another tab, because an answer that is not a
  // download would replace this page.
  Object.assign(document.createElement('a'), { href, target: '_blank', rel: 'noopener noreferrer' }).click();
}

/** A signed URL of the object. Throws if it is not http or https, for example `javascript:`. */
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

/** Percent-encoded by RFC 8187. This also encodes some characters that encodeURIComponent leaves as they are. */
const encoded = (name) =>
  encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, '_'))
    .replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
