// Uppy, its four ways to upload, and the user's choices before an upload.

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
/**
 * The largest file that is kept in the browser's storage over a reload. The user has to choose a larger file
 * again.
 */
const KEPT = { maxFileSize: 100 * MIB, maxTotalSize: 500 * MIB };
/** The size of each part except the last, which may be smaller. /multipart signs URLs for parts of this size. */
const PART = 5 * MIB;
/** Codes of OSS after which the next try gets a new token or URL. */
const ENDED = ['SecurityTokenExpired', 'InvalidAccessKeyId', 'InvalidSecurityToken', 'RequestExpired'];
/** OSS and the function send these codes if an upload in parts no longer exists. The next try begins anew. */
const GONE = ['NoSuchUpload', 'UploadRefused'];
const SILENT = { debug() {}, warn() {}, error() {} }; // the page shows the errors

/** Uppy with readable errors. It recognizes a file that is chosen again, and an upload whose callback failed. */
class PageUppy extends Uppy {
  /** A large file is not kept over a reload. When the user chooses it again, it is recognized by name and size. */
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
    // Call onFailure() first: onFailure() makes the error's message readable, and may start the upload again.
    const { isAgain, success } = this.opts.onFailure(...args);
    if (success) super.emit('upload-success', args[0], success);
    else if (!isAgain) super.emit(event, ...args);
  }
}

/** Mount the card. */
export function mount(root, at) {
  const transports = {}; // way -> the options that the current client makes for Uppy
  const running = new Map(); // file's id -> the transport it began with
  const byKey = new Map(); // requested or given key -> file's id
  const again = new Set(); // files that continued by themselves with a new token
  const resting = new Set(); // files that were paused when the network was lost

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
    // With a token, a file can be sent in one request or in parts. A file that fits into one part is sent in one
    // request, because an upload in parts would need three requests.
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
    // If OSS has completed the upload, the object is stored. Uppy reports an error only because it expects OSS's XML,
    // but got the answer of the callback.
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
    if (code === 'Network') resting.add(id); // restarted when the network is back
    at.emit('refused', { where: error.body === undefined ? 'function' : 'OSS', status, code, message, name });
    const { text, todo } = sentence(at, { code, status, message });
    error.message = `${text} ${todo}`;
    return {};
  };

  // When the upload of a file begins, the page decides how to upload it and what the object's name is. Both do not
  // change later.
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

  // Files and uploads of one user are never uploaded for another user, and never shown to another user.
  let isKnown = false; // whether the user is known: only after the server was asked, and if no login is missing
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
  // Remove files that have been uploaded, so that the user can upload the same files again in the
  // new way.
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

/** Resolves when a file is not paused. Without this, Uppy would start a waiting file although it is paused. */
const resumed = (uppy, id) => new Promise((resolve) => {
  const look = () => {
    if (uppy.getFile(id)?.isPaused) return;
    uppy.off('state-update', look);
    resolve();
  };
  uppy.on('state-update', look);
  look();
});

/** Gives errors of Uppy and errors of the client the same form. */
function nameOf({ code, status = 0, message, body = '' }) {
  const [ossCode, ossMessage] = ['Code', 'Message'].map((name) => elementOf(body ?? '', name));
  const isLate = ossCode === 'AccessDenied' && /expired/i.test(ossMessage); // a signed URL has expired
  const named = isLate ? 'RequestExpired' : ossCode ?? (code === 'NETWORK' ? 'Network' : code);
  return { code: named, status, message: ossMessage ?? message };
}

/** Keep files and their progress across reloads. The user can add files only after the kept files are restored. */
async function remember(uppy) {
  const dashboard = uppy.getPlugin('Dashboard');
  try {
    const { default: GoldenRetriever } = await import('@uppy/golden-retriever');
    uppy.use(GoldenRetriever, { indexedDB: KEPT });
  } catch {
    // The plugin did not load, or the browser has no storage. Uploads work, but a reload of the page loses them.
  }
  dashboard.setOptions({ disabled: false });
}

/** Give Uppy's list of files the role `list`, which Uppy leaves out if there is a single file. */
function mendList(place) {
  new MutationObserver(() => {
    const list = place.querySelector('.uppy-Dashboard-files:not([role])');
    if (list) list.setAttribute('role', 'list');
  }).observe(place, { childList: true, subtree: true });
}

/** Show the speed of the last few seconds. Uppy itself shows the amount and the remaining time. */
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
      input.value = ''; // so that the same file can be chosen again
      try {
        uppy.addFiles(files);
      } catch {
        // Uppy shows the reason.
      }
    });
  }
}

