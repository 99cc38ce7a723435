// Uppy, the four ways behind it, and what the person chooses before an upload.

import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import Dashboard from '@uppy/dashboard';

import { codeOf } from './code.js';
import { answerOf, watchOss } from './oss_answers.js';
import { uploads } from './kept.js';
import { sentence } from './sentences.js';
import * as settings from './settings.js';
import { WAYS, sign } from './ways.js';

const MIB = 1024 * 1024;
/** What a reload finds again, in the browser's own storage; a larger file is asked for again. */
const KEPT = { maxFileSize: 100 * MIB, maxTotalSize: 500 * MIB };
/** A part of every upload but its last: what /multipart signs for, and OSS takes. */
const PART = 5 * MIB;
/** Of OSS and the function: the next try has a new token, or a new URL. */
const ENDED = ['SecurityTokenExpired', 'InvalidAccessKeyId', 'InvalidSecurityToken', 'RequestExpired'];
const SILENT = { debug() {}, warn() {}, error() {} }; // errors are said on the page

/** Uppy that says an error as a sentence, knows an upload whose callback alone failed, and a file again. */
class PageUppy extends Uppy {
  /** A file that a reload could not keep is asked for again: it is known by name and size. */
  addFiles(files) {
    const ghosts = this.getFiles().filter(({ isGhost }) => isGhost);
    const isNew = ({ name, data }) => {
      const ghost = ghosts.find((one) => one.name === name && one.size === data.size);
      if (ghost) this.setFileState(ghost.id, { data, isGhost: false });
      return !ghost;
    };
    super.addFiles(files.filter(isNew));
  }

  emit(event, ...args) {
    if (event !== 'upload-error' || !this.opts.onFailure) return super.emit(event, ...args);
    const success = this.opts.onFailure(...args);
    return success ? super.emit('upload-success', args[0], success) : super.emit(event, ...args);
  }
}

/** Mount the card. */
export function mount(root, at) {
  const transports = {}; // way -> what the client of today makes for Uppy
  const running = new Map(); // file's id -> the transport it began with
  const byKey = new Map(); // key asked for or given -> file's id
  const again = new Set(); // files that went on by themselves with a new token
  const resting = new Set(); // files that the network's end has paused

  const transport = (way) => (transports[way] ??= at.client().uppy(way, wishesOf, sign));
  const uppy = new PageUppy({
    id: 'page',
    logger: SILENT,
    locale: at.uppyWords,
    onFailure: (file, error) => failed(file, error),
  });
  uppy.use(Dashboard, {
    target: root.querySelector('#uploader'),
    inline: true,
    width: '100%',
    height: 420,
    theme: 'auto',
    proudlyDisplayPoweredByUppy: false,
    showRemoveButtonAfterComplete: true,
    singleFileFullScreen: false,
    disabled: true,
    note: null,
    locale: { strings: { dropHint: at.t('upload.drop') } },
  });
  uppy.use(AwsS3, {
    // One part is not worth three requests, where there is a choice.
    shouldUseMultipart: ({ meta: { way, resumable }, size }) =>
      way === 'multipart' || way === 'token' && resumable && size > PART,
    getChunkSize: () => PART,
    allowedMetaFields: false,
    limit: 3,
    generateObjectKey(file) {
      const made = transport(file.meta.way);
      running.set(file.id, made);
      const key = made.generateObjectKey(file);
      for (const name of [key, file.s3Multipart?.key]) if (name) byKey.set(name, file.id);
      return key;
    },
    async signRequest(request) {
      const { key, uploadId } = request;
      const file = uppy.getFiles().find(({ s3Multipart: known }) => known && known.uploadId === uploadId);
      const id = file?.id ?? byKey.get(key);
      const signed = await running.get(id).signRequest(request);
      if (signed.key) byKey.set(signed.key, id);
      return signed;
    },
  });

  const failed = (file, error) => {
    const key = uppy.getFile(file.id)?.s3Multipart?.key;
    const answer = answerOf(key);
    const { code, status, message } = nameOf(error);
    // The object is there, and whoever was called back said something that is none of OSS's XML.
    if (!error.status && answer?.isCompletion) {
      return { status: answer.status, body: { key } };
    }
    if (ENDED.includes(code) && !again.has(file.id)) {
      again.add(file.id);
      at.client().forget();
      setTimeout(() => uppy.retryUpload(file.id).catch(() => {}));
      return undefined;
    }
    if (code === 'Network') resting.add(file.id); // begun again once the network is back
    at.emit('refused', { where: error.body === undefined ? 'function' : 'OSS', status, code, message,
      name: file?.name });
    const { text, todo } = sentence(at, { code, status, message });
    error.message = `${text} ${todo}`;
    return undefined;
  };

  // What a file is uploaded as is decided when its upload begins, and stays.
  uppy.on('upload', (_, files) => {
    for (const file of files) {
      const others = new Set(uppy.getFiles().filter(({ id }) => id !== file.id).map(({ meta }) => meta.object));
      if (!file.s3Multipart) uppy.setFileMeta(file.id, begun(file, at, others));
      const { meta, name, size, type } = uppy.getFile(file.id);
      at.emit('ran', { ...meta, name, size, type });
    }
  });
  uppy.on('upload-success', (file, { body, status }) => {
    uploads.remove(file.id);
    again.delete(file.id);
    const answer = answerOf(body.key);
    at.emit('uploaded', { key: body.key, name: file.name, size: file.size,
      status: answer?.status ?? status, answer: answer?.text });
  });
  uppy.on('file-added', () => root.classList.add('has-files'));
  uppy.on('file-removed', ({ id }) => uploads.remove(id));
  uppy.on('file-removed', () => root.classList.toggle('has-files', uppy.getFiles().length > 0));
  uppy.on('cancel-all', () => root.classList.remove('has-files'));
  uppy.on('restored', () => root.classList.toggle('has-files', uppy.getFiles().length > 0));

  at.on('changed', () => {
    for (const way of WAYS) delete transports[way];
    // What somebody began is not ended by somebody else.
    const caller = callerOf(at);
    for (const { id, meta, progress } of uppy.getFiles()) {
      if (meta.caller && meta.caller !== caller && at.session.user && !progress.uploadComplete) uppy.removeFile(id);
    }
  });
  at.on('offline', () => {
    for (const { id, isPaused, progress } of uppy.getFiles()) {
      if (!progress.uploadStarted || progress.uploadComplete || isPaused) continue;
      resting.add(id);
      uppy.pauseResume(id);
    }
  });
  at.on('online', () => {
    for (const id of resting) {
      const file = uppy.getFile(id);
      if (file?.error) uppy.retryUpload(id).catch(() => {});
      else if (file?.isPaused) uppy.pauseResume(id);
    }
    resting.clear();
  });

  watchOss(at);
  showSpeed(root.querySelector('#speed'), uppy, at);
  offerWays(root, at);
  offerNames(root, at);
  pickFiles(root, uppy);
  showCode(document.getElementById('code-card'), at);
  remember(uppy);
}

const callerOf = (at) => `${at.settings.appServer} ${at.session.user}`;

/** What Uppy's errors and the client's have in common. */
function nameOf({ code, status = 0, message, body = '' }) {
  const [, ossCode] = body?.match(/<Code>([^<]*)<\/Code>/) ?? [];
  const [, ossMessage] = body?.match(/<Message>([^<]*)<\/Message>/) ?? [];
  if (ossCode === 'AccessDenied' && /expired/i.test(ossMessage)) return { code: 'RequestExpired', status, message };
  return { code: ossCode ?? (code === 'NETWORK' ? 'Network' : code), status, message: ossMessage ?? message };
}

/** How a file is uploaded: its way, its name under the prefix ('' for one that the server makes). */
function begun(file, at, names) {
  const { way, resumable, naming } = at.settings;
  const caller = callerOf(at);
  const made = way === 'multipart' && !file.size ? 'signed-url' : way; // parts have at least a byte
  if (naming === 'server' && made !== 'token') return { way: made, resumable, caller, object: '' };
  const wished = document.getElementById('object-name').value.trim();
  const name = !wished ? file.name : wished.endsWith('/') ? `${wished}${file.name}` : wished;
  return { way: made, resumable, caller, object: free(name, names) };
}

/** A name that no other file here has: photo.jpg, photo-2.jpg. */
function free(name, taken) {
  const [, stem, ending] = name.match(/^(.*?)(\.[^./]*)?$/s);
  let found = name;
  for (let number = 2; taken.has(found); number += 1) found = `${stem}-${number}${ending ?? ''}`;
  return found;
}

/** What the client asks the function for. */
function wishesOf({ meta: { object }, name, size, type }) {
  const [, ext] = name.match(/\.([A-Za-z0-9]{1,10})$/) ?? [];
  const named = object ? { object } : { name: 'auto', ...(ext ? { ext: ext.toLowerCase() } : {}) };
  return { ...named, size, content_type: type || 'application/octet-stream' };
}

/** Files and what was sent of them outlive a reload; nothing may be added before they are back. */
async function remember(uppy) {
  const dashboard = uppy.getPlugin('Dashboard');
  try {
    const { default: GoldenRetriever } = await import('@uppy/golden-retriever');
    uppy.use(GoldenRetriever, { indexedDB: KEPT });
  } catch {
    // Not loaded, or no storage: uploads work, and a reload forgets them.
  }
  dashboard.setOptions({ disabled: false });
}

/** Bytes in a second, over the last few seconds; Uppy says the rest: how much, and the time that is left. */
function showSpeed(place, uppy, at) {
  let samples = []; // [ms, bytes], all files
  const sent = () => uppy.getFiles().reduce((sum, { progress }) => sum + (progress.bytesUploaded || 0), 0);
  const isBusy = () => !uppy.getState().recoveredState && uppy.getFiles().some(({ progress, isPaused, error }) =>
    progress.uploadStarted && !progress.uploadComplete && !isPaused && !error);
  setInterval(() => {
    samples = isBusy() ? [...samples, [Date.now(), sent()]].slice(-6) : [];
    const [[from, before] = [], [to, now] = []] = [samples[0], samples.at(-1)];
    place.hidden = samples.length < 2 || now < before;
    if (!place.hidden) {
      place.textContent = at.t('upload.speed', { speed: size((now - before) / (to - from) * 1000) });
    }
  }, 1000);
}

const size = (bytes) => bytes < MIB ? `${Math.round(bytes / 1024)} KB` : `${(bytes / MIB).toFixed(1)} MB`;

function pickFiles(root, uppy) {
  for (const [button, field] of [['#take-photo', '#photo-input'], ['#choose', '#file-input']]) {
    const input = root.querySelector(field);
    root.querySelector(button).addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      const files = Array.from(input.files, (data) => ({ source: 'page', name: data.name, type: data.type, data }));
      input.value = ''; // the same one can be chosen again
      try {
        uppy.addFiles(files);
      } catch {
        // Uppy says why.
      }
    });
  }
}

function offerWays(root, at) {
  const group = root.querySelector('#way');
  const resumable = root.querySelector('#resumable');
  const server = root.querySelector('[name=naming][value=server]');
  const inputs = WAYS.map((way) => {
    const [label, input, name] = ['label', 'input', 'span'].map((tag) => document.createElement(tag));
    Object.assign(input, { type: 'radio', name: 'way', value: way });
    name.textContent = at.t(`way.${way}`);
    label.append(input, name);
    group.append(label);
    input.addEventListener('change', () => {
      settings.keep(at, { way });
      show();
      at.emit('way');
    });
    return input;
  });
  const show = () => {
    const { way } = at.settings;
    for (const input of inputs) {
      const isClosed = at.ways[input.value] === 'closed';
      input.checked = input.value === way;
      input.disabled = isClosed;
      input.parentElement.classList.toggle('closed', isClosed);
      input.nextElementSibling.textContent = at.t(`way.${input.value}`);
      if (isClosed) input.nextElementSibling.textContent += ` ${at.t('way.closed')}`;
    }
    root.querySelector('#way-note').textContent = at.t(`way.${way}.note`);
    resumable.disabled = way !== 'token';
    resumable.checked = way === 'multipart' || way === 'token' && at.settings.resumable;
    server.disabled = way === 'token';
    const naming = way === 'token' ? 'own' : at.settings.naming;
    root.querySelector(`[name=naming][value=${naming}]`).checked = true;
    root.querySelector('#object-name').disabled = naming === 'server';
  };
  resumable.addEventListener('change', () => settings.keep(at, { resumable: resumable.checked }));
  at.on('ways', () => {
    const open = WAYS.filter((way) => at.ways[way] === 'open');
    if (open.length && at.ways[at.settings.way] === 'closed') at.settings.way = open[0];
    show();
    at.emit('way');
  });
  at.on('naming', show);
  show();
}

function offerNames(root, at) {
  for (const input of root.querySelectorAll('[name=naming]')) {
    input.addEventListener('change', () => {
      settings.keep(at, { naming: input.value });
      at.emit('naming');
    });
  }
}

function showCode(root, at) {
  const code = root.querySelector('#code code');
  let last = {};
  const show = () => { code.textContent = codeOf({ ...last, way: at.settings.way }, at); };
  at.on('ran', (ran) => {
    last = ran;
    code.textContent = codeOf(ran, at);
  });
  at.on('way', show);
  root.querySelector('#copy-code').addEventListener('click', async () => {
    const isCopied = await copy(code);
    root.querySelector('#copied').textContent = at.t(isCopied ? 'code.copied' : 'code.marked');
  });
}

/** Copy an element's text, or mark it where a page may not copy. */
async function copy(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // Not a secure context: the old way, of what is marked.
    return document.execCommand('copy');
  }
}
