// Uppy, the four ways behind it, and what the person chooses before an upload.

import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import Dashboard from '@uppy/dashboard';

import { begun, callerOf, offerNames, offerWays, wishesOf } from './choices.js';
import { showCode } from './code.js';
import { uploads } from './kept.js';
import { answerOf, watchOss } from './oss_answers.js';
import { sentence } from './sentences.js';
import { WAYS, sign } from './ways.js';
import { elementOf } from './xml.js';

const MIB = 1024 * 1024;
/** What a reload finds again, in the browser's own storage; a larger file is asked for again. */
const KEPT = { maxFileSize: 100 * MIB, maxTotalSize: 500 * MIB };
/** A part of every upload but its last: what /multipart signs for, and OSS takes. */
const PART = 5 * MIB;
/** Of OSS: the next try has a new token, or a new URL. */
const ENDED = ['SecurityTokenExpired', 'InvalidAccessKeyId', 'InvalidSecurityToken', 'RequestExpired'];
/** Of OSS and the function: an upload in parts that is there no more; the next try begins another one. */
const GONE = ['NoSuchUpload', 'UploadRefused'];
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
    if (event !== 'upload-error') return super.emit(event, ...args);
    // It is not failed yet: what to do comes first.
    const { isAgain, success } = this.opts.onFailure(...args);
    if (success) super.emit('upload-success', args[0], success);
    else if (!isAgain) super.emit(event, ...args);
  }
}

/** Mount the card. */
export function mount(root, at) {
  const transports = {}; // way -> what the client of today makes for Uppy
  const running = new Map(); // file's id -> the transport it began with
  const byKey = new Map(); // key asked for or given -> file's id
  const again = new Set(); // files that went on by themselves with a new token
  const resting = new Set(); // files that the network's end has paused

  const signed = (token, request) => {
    at.emit('token', token);
    return sign(token, request);
  };
  const transport = (way) => (transports[way] ??= at.client().uppy(way, wishesOf, signed));
  const uppy = new PageUppy({
    id: 'page',
    logger: SILENT,
    locale: at.uppyWords,
    onFailure: (...failure) => failed(...failure),
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
      await resumed(uppy, id);
      const answer = await running.get(id).signRequest(request);
      if (answer.key) byKey.set(answer.key, id);
      return answer;
    },
  });

  const failed = ({ id, name }, error) => {
    const { key, uploadId } = uppy.getFile(id)?.s3Multipart ?? {};
    const { code, status, message } = nameOf(error);
    // The object is there, and whoever was called back said something that is none of OSS's XML.
    const answer = answerOf(key);
    if (uploadId && answer?.completed === uploadId) {
      return { success: { status: answer.status, body: { key } } };
    }
    if ([...ENDED, ...GONE].includes(code) && !again.has(id)) {
      again.add(id);
      at.client().forget();
      if (GONE.includes(code)) uppy.setFileState(id, { s3Multipart: undefined });
      setTimeout(() => uppy.retryUpload(id).catch(() => {}));
      return { isAgain: true };
    }
    if (code === 'Network') resting.add(id); // begun again once the network is back
    at.emit('refused', { where: error.body === undefined ? 'function' : 'OSS', status, code, message, name });
    const { text, todo } = sentence(at, { code, status, message });
    error.message = `${text} ${todo}`;
    return {};
  };

  // What a file is uploaded as is decided when its upload begins, and stays.
  uppy.on('upload', (_, files) => {
    for (const file of files) {
      const others = uppy.getFiles().filter(({ id }) => id !== file.id).map(({ meta }) => meta.object);
      if (!file.s3Multipart) uppy.setFileMeta(file.id, begun(file, at, others));
      const { meta, name, size, type } = uppy.getFile(file.id);
      at.emit('ran', { ...meta, name, size, type });
    }
  });
  uppy.on('upload-success', (file, { body, status }) => {
    uploads.remove(file.id);
    again.delete(file.id);
    const answer = answerOf(body.key);
    at.emit('uploaded', { key: body.key, object: file.meta.object, name: file.name, size: file.size,
      status: answer?.status ?? status, answer: answer?.text });
  });
  uppy.on('file-added', () => root.classList.add('has-files'));
  uppy.on('file-removed', ({ id }) => uploads.remove(id));
  uppy.on('file-removed', () => root.classList.toggle('has-files', uppy.getFiles().length > 0));
  uppy.on('cancel-all', () => root.classList.remove('has-files'));
  uppy.on('restored', () => root.classList.toggle('has-files', uppy.getFiles().length > 0));

  // What somebody chose or began is not uploaded for somebody else, nor seen.
  let isKnown = false; // who is here: nobody before the server was asked, and while a login is awaited
  const keepOwn = () => {
    const caller = callerOf(at);
    for (const { id, meta } of uppy.getFiles()) {
      if (!meta.caller) uppy.setFileMeta(id, { caller });
      else if (meta.caller !== caller) uppy.removeFile(id);
    }
  };
  const keepOwnOfKnown = () => isKnown && keepOwn();
  uppy.on('file-added', keepOwnOfKnown);
  uppy.on('restored', keepOwnOfKnown);
  at.on('changed', () => {
    for (const way of WAYS) delete transports[way];
    keepOwnOfKnown();
    isKnown = false;
  });
  at.on('ways', () => {
    isKnown = !at.session.needed;
    keepOwnOfKnown();
  });
  // The same file may go by another way then.
  at.on('way', () => {
    for (const { id, progress } of uppy.getFiles()) if (progress.uploadComplete) uppy.removeFile(id);
  });
  at.on('offline', () => {
    for (const { id, isPaused, error, progress } of uppy.getFiles()) {
      if (!progress.uploadStarted || progress.uploadComplete || isPaused || error) continue;
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
  mendList(root.querySelector('#uploader'));
  showSpeed(root.querySelector('#speed'), uppy, at);
  offerWays(root, at);
  offerNames(root, at);
  pickFiles(root, uppy);
  showCode(document.getElementById('code-card'), at);
  remember(uppy);
}

/** Once a file is not paused; Uppy begins one that waited for its turn even so. */
const resumed = (uppy, id) => new Promise((resolve) => {
  const look = () => {
    if (uppy.getFile(id)?.isPaused) return;
    uppy.off('state-update', look);
    resolve();
  };
  uppy.on('state-update', look);
  look();
});

/** What Uppy's errors and the client's have in common. */
function nameOf({ code, status = 0, message, body = '' }) {
  const [ossCode, ossMessage] = ['Code', 'Message'].map((name) => elementOf(body ?? '', name));
  const isLate = ossCode === 'AccessDenied' && /expired/i.test(ossMessage); // of a signed URL
  const named = isLate ? 'RequestExpired' : ossCode ?? (code === 'NETWORK' ? 'Network' : code);
  return { code: named, status, message: ossMessage ?? message };
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

/** Where there is one file alone, Uppy forgets to say that it is of a list. */
function mendList(place) {
  new MutationObserver(() => {
    const list = place.querySelector('.uppy-Dashboard-files:not([role])');
    if (list) list.setAttribute('role', 'list');
  }).observe(place, { childList: true, subtree: true });
}

/** Bytes in a second, over the last few seconds; Uppy says the rest: how much, and the time that is left. */
function showSpeed(place, uppy, at) {
  let samples = []; // [ms, bytes], all files
  const sent = () => uppy.getFiles().reduce((sum, { progress }) => sum + (progress.bytesUploaded || 0), 0);
  const isSent = ({ progress, isPaused, error }) =>
    progress.uploadStarted && !progress.uploadComplete && !isPaused && !error;
  const isBusy = () => !uppy.getState().recoveredState && uppy.getFiles().some(isSent);
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
      const fileOf = (data) => ({ source: 'page', name: data.name, type: data.type, data });
      const files = Array.from(input.files, fileOf);
      input.value = ''; // the same one can be chosen again
      try {
        uppy.addFiles(files);
      } catch {
        // Uppy says why.
      }
    });
  }
}

