// The four ways to upload: which of them are open, and how the way 'token' signs.

import { elementOf } from './xml.js';

export const WAYS = ['token', 'signed-url', 'form', 'multipart'];

/**
 * For each way to upload, a wrong wish. If the way is open, the function refuses this wish before it signs
 * anything or calls STS. If the way is closed, the function answers with another error.
 */
const PROBES = {
  token: ['', { duration: 'x' }, 'GET'],
  'signed-url': ['signed-url', { method: 'X' }, 'GET'],
  form: ['form', { max_bytes: 'x' }, 'GET'],
  multipart: ['multipart', {}, 'POST'],
};
const CLOSED = ['RouteDisabled', 'NotFound'];
const NO_SERVER = ['Network', 'InvalidAnswer'];

/**
 * Ask once which ways are open.
 * @returns {Promise<{ways: Object<string, 'open' | 'closed'>, needsLogin: boolean, fault?: Error}>} If it is not
 *   known which ways are open, a login is needed, or `fault` says why: no server answered, or the server does not
 *   accept this caller.
 */
export async function probe(client) {
  const ask = (way) => client.ask(...PROBES[way]).then(() => ({}), (error) => error);
  const first = await ask(WAYS[0]);
  // If no server answered the first request, the other requests would fail too.
  if (NO_SERVER.includes(first.code)) return { ways: {}, needsLogin: false, fault: first };
  // Without a login, the other requests would be refused too. The page asks again after the sign-in, and only then
  // shows which ways are closed.
  if (first.status === 401) return { ways: {}, needsLogin: true };
  const answers = [first, ...await Promise.all(WAYS.slice(1).map(ask))];
  const open = (error) => (CLOSED.includes(error.code) ? 'closed' : 'open');
  const isFault = ({ code, status }) => NO_SERVER.includes(code) || status === 403 && !CLOSED.includes(code)
    || status >= 429;
  return {
    ways: Object.fromEntries(WAYS.map((way, at) => [way, open(answers[at])])),
    needsLogin: answers.some(({ status }) => status === 401),
    fault: answers.every(isFault) ? answers[0] : undefined,
  };
}

/** For each way to upload except 'token', the wishes of a test request. The function answers this request with a
 * Scope, and calls no STS. The page reads only the Scope, and never uploads with this answer. */
const SCOPES = {
  'signed-url': { method: 'PUT', name: 'auto' },
  form: {},
  multipart: { name: 'auto', size: 1 },
};

/** Return an answer that names the bucket and its region: a token or, if 'token' is closed, another way's answer. */
export async function askScope(client, ways) {
  if (ways.token === 'open') return client.token();
  const way = Object.keys(SCOPES).find((one) => ways[one] === 'open');
  return way && client.ask(way, SCOPES[way]);
}

let loading; // ali-oss, which is loaded once

/** Return a URL of OSS that ali-oss signs with the token (V4). The way 'token' needs this URL. */
export async function sign({ AccessKeyId, AccessKeySecret, SecurityToken, Scope },
  { method, key, query, headers, seconds }) {
  const { default: OSS } = await (loading ??= import('ali-oss'));
  const oss = new OSS({
    accessKeyId: AccessKeyId,
    accessKeySecret: AccessKeySecret,
    stsToken: SecurityToken,
    bucket: Scope.Bucket,
    region: `oss-${Scope.Region}`,
    endpoint: Scope.Endpoint,
    cname: Scope.Cname,
    sldEnable: !Scope.Cname && Scope.Endpoint.startsWith('http:'), // the sandbox
    secure: Scope.Endpoint.startsWith('https:'),
    authorizationV4: true,
    refreshSTSTokenInterval: Infinity, // the client renews it; without this option ali-oss warns
  });
  return oss.signatureUrlV4(method, seconds, { headers, queries: query }, key);
}

/** Try to upload into another user's folder with the caller's own token. OSS refuses the upload, and the page shows
 * the refusal. */
export async function tryFolderOf(at, user) {
  try {
    const token = await at.client().token();
    const key = `${token.Scope.Prefix.replace(/[^/]+\/$/, '')}${user}/not-mine.txt`;
    const headers = { 'Content-Type': 'text/plain' };
    const url = await sign(token, { method: 'PUT', key, query: {}, headers, seconds: 60 });
    const sent = { method: 'PUT', headers: { ...headers, ...at.headers }, body: 'mine?' };
    const response = await fetch(url, sent);
    const text = await response.text();
    const [code, message] = ['Code', 'Message'].map((name) => elementOf(text, name));
    at.emit('request', { server: 'OSS', method: 'PUT', path: key, status: response.status, code });
    if (response.ok) at.emit('uploaded', { key, name: key, size: 5, status: response.status });
    else at.emit('refused', { where: 'OSS', status: response.status, code, message, name: key });
  } catch (error) {
    const { code = 'Network', status = 0, message } = error;
    at.emit('refused', { where: 'function', status, code, message, name: user });
  }
}
