// Starts the page: makes `at`, which is the object that all views share, and mounts the views.

import { connect } from '../client/oss_upload.js';

import * as gallery from './gallery.js';
import { uploads } from './kept.js';
import { makeSession } from './session.js';
import * as session from './session.js';
import * as settings from './settings.js';
import * as uploader from './uploader.js';
import * as why from './why.js';

const LANGUAGES = { en: 'English', zh: '中文' };

async function start() {
  const kept = settings.read();
  const language = kept.language ?? (/^zh\b/i.test(navigator.language) ? 'zh' : 'en');
  const [config, words] = await Promise.all([readConfig(), wordsOf(language)]);
  const at = makeAt(config, kept, language, words);
  translate(document, at);
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  document.title = at.t('title');
  offerLanguages(at);
  sayOffline(at);
  document.getElementById('page').hidden = false;
  session.mount(document.getElementById('session'), at);
  uploader.mount(document.getElementById('uploader-card'), at);
  gallery.mount(document.getElementById('gallery-view'), at);
  why.mount(document.getElementById('why-view'), at);
  settings.mount(document.getElementById('settings'), at);
}

/** Each language is a separate bundle, and only one is loaded. */
const wordsOf = (language) => language === 'zh' ? import('texts:zh') : import('texts:en');

async function readConfig() {
  const fallback = { appServer: '', signIn: '', refusals: '', fullPage: true };
  try {
    const response = await fetch('config.json', { cache: 'no-store' });
    return response.ok ? { ...fallback, ...await response.json() } : fallback;
  } catch {
    return fallback;
  }
}

/**
 * The members that the views share:
 * - `config` (config.json), `settings` (the user's choices), `language`, `t(key, values)`, `errors`
 *   (docs/errors.json in this language), `uppyWords` (Uppy's texts in this language)
 * - `ways`: 'open' or 'closed' by the way's name; `scope`: the server's bucket and folder
 * - `session`: the signed-in user; only the client gets the login itself
 * - `client()`: the current client; after 'changed' this is a new one
 * - `untagged()`: a client whose requests are not in the panel, for the page's own checks
 * - `on(event, handler)`, `emit(event, detail)`: 'changed' (server or login), 'ways' (which are open),
 *   'token' (a token came), 'uploaded', 'refused', 'request', 'ran' (an upload began)
 */
function makeAt(config, kept, language, words) {
  const handlers = {};
  let client;
  const at = {
    config,
    settings: kept,
    language,
    errors: words.errors,
    uppyWords: words.uppy,
    ways: {},
    t: (key, values = {}) => (words.texts[key] ?? key)
      .replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole),
    on: (event, handler) => (handlers[event] ??= []).push(handler),
    emit: (event, detail) => (handlers[event] ?? []).forEach((handler) => handler(detail)),
    client: () => (client ??= clientOf(at, at.headers)),
    untagged: () => clientOf(at, {}),
    /** The URL of the sandbox's own sign-in, or '' if another app server is used. There the user pastes a login. */
    get signIn() {
      const isOurs = originOf(kept.appServer) === originOf(config.appServer);
      return isOurs ? config.signIn : '';
    },
    change() {
      client = at.scope = undefined;
      at.headers = tag();
      at.emit('changed');
    },
  };
  // A random id, which the page sends with its requests. Under this id the sandbox notes the result of each request,
  // and the panel shows these notes. Each signed-in user gets a new id.
  const tag = () => (config.refusals ? { 'X-Sandbox-Session': hex(16) } : {});
  at.headers = tag();
  at.session = makeSession(at);
  return at;
}

const originOf = (url) => (url ? new URL(url, document.baseURI).origin : '');

const clientOf = (at, headers) => connect({
  url: at.settings.appServer,
  login: at.session.logins(),
  headers,
  store: uploads,
  request: (url, init) => ask(at, url, init),
});

const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)),
  (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Send a request of the client, and record it for the panel, without its query, headers and body. */
async function ask(at, url, { method, headers, body, signal }) {
  const { pathname: path, origin } = new URL(url, document.baseURI);
  const server = origin === new URL(at.settings.appServer).origin ? 'function' : 'OSS';
  // A function on another origin does not know the panel's header, and would refuse it in the preflight.
  const isKnown = server === 'OSS' || origin === location.origin;
  const sent = isKnown ? headers : without(headers, at.headers);
  const response = await fetch(url, { method, headers: sent, body, signal });
  const text = await response.text();
  const [status, code] = server === 'function' ? answered(text, response.status) : [response.status];
  at.emit('request', { server, method, path, status, code });
  return { status: response.status, text, header: (name) => response.headers.get(name) };
}

const without = (headers, left) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !Object.hasOwn(left, name)));

function answered(text, status) {
  try {
    const { StatusCode, ErrorCode } = JSON.parse(text);
    return [StatusCode ?? status, ErrorCode];
  } catch {
    return [status];
  }
}

/** Fill in the texts of elements with data-t, data-t-label or data-t-placeholder. */
function translate(root, at) {
  const put = (attribute, set) => root.querySelectorAll(`[${attribute}]`).forEach((element) =>
    set(element, at.t(element.getAttribute(attribute))));
  put('data-t', (element, text) => { element.textContent = text; });
  put('data-t-label', (element, text) => element.setAttribute('aria-label', text));
  put('data-t-placeholder', (element, text) => { element.placeholder = text; });
}

function offerLanguages(at) {
  const group = document.getElementById('language');
  for (const [code, name] of Object.entries(LANGUAGES)) {
    const button = document.createElement('button');
    button.type = 'button';
    button.lang = code;
    button.textContent = name;
    button.setAttribute('aria-pressed', code === at.language);
    button.addEventListener('click', () => {
      if (code === at.language) return;
      settings.keep(at, { language: code });
      location.reload();
    });
    group.append(button);
  }
}

function sayOffline(at) {
  const notice = document.getElementById('offline');
  const say = () => {
    notice.hidden = navigator.onLine;
    at.emit(navigator.onLine ? 'online' : 'offline');
  };
  window.addEventListener('online', say);
  window.addEventListener('offline', say);
  notice.hidden = navigator.onLine;
}

start();
