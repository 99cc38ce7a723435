// The page that needs no build and no npm. Users choose pictures, upload each by a signed URL, and see them. Its
// settings are in the file config.json in its folder, which the sandbox serves.

import { connect } from './client/oss_upload.js';
import { shown, size } from './names.js';

const BUILT_CHECK_MS = 3000;
const PREVIEW = 'image/auto-orient,1/resize,w_800';

const TEXTS = {
  en: {
    signedIn: (user) => `Signed in as ${user}.`,
    uploading: 'Uploading …',
    stored: (key, bytes) => `Stored as ${key} (${bytes}).`,
    serverNotTold: 'The file is stored, but your server was not told.',
    preview: (name) => `The picture ${name}, as it is stored`,
    mayNotRead: (policy) =>
      `You cannot see the picture here, because ${policy} does not allow reading. The operator can allow it with`
      + ' POLICY_FILE=bucket_read_write_policy.',
    noPreview: 'OSS could not make a small picture of this file.',
    again: 'Try again',
    network: 'There was no answer. Check the network, and check that the app server runs. Then try again.',
    login: 'The app server asks for a login. Sign in, then try again.',
    noSignIn: 'The app server asks for a login, but this page has no sign-in, because AUTH=jwt uses your own keys.',
    refused: (message, code) => `The request was refused: ${message} (${code})`,
    notStored: (message, code) => `OSS did not store the file: ${message} (${code})`,
    page: 'docs/errors.md',
    noConfig: 'This page needs a file config.json in its folder that names an app server (appServer).',
  },
  zh: {
    title: '上传图片',
    fullPage: '完整页面已就绪。',
    openFullPage: '打开完整页面',
    user: '用户名',
    signIn: '登录',
    takePhoto: '拍照',
    choose: '选择图片',
    signedIn: (user) => `已登录为 ${user}。`,
    uploading: '正在上传…',
    stored: (key, bytes) => `已保存为 ${key}（${bytes}）。`,
    serverNotTold: '文件已保存，但未能通知你的业务后端。',
    preview: (name) => `已保存的图片 ${name}`,
    mayNotRead: (policy) =>
      `无法在此查看：${policy} 不允许读取。运维人员设置 POLICY_FILE=bucket_read_write_policy 后即可读取。`,
    noPreview: 'OSS 无法生成它的缩略图。',
    again: '重试',
    network: '没有收到响应。请检查网络以及应用服务器是否在运行，然后重试。',
    login: '应用服务器要求登录。请登录后重试。',
    noSignIn: '应用服务器要求登录，但本页面没有登录功能：服务器的 AUTH=jwt 使用了你自己的密钥。',
    refused: (message, code) => `请求被拒绝：${message}（${code}）`,
    notStored: (message, code) => `OSS 没有保存：${message}（${code}）`,
    page: 'docs/zh/errors.md',
    noConfig: '本页面旁没有指明应用服务器（appServer）的 config.json。',
  },
};

const language = navigator.languages.find((one) => /^(en|zh)\b/i.test(one))?.slice(0, 2).toLowerCase() ?? 'en';
const texts = TEXTS[language];
const element = (id) => document.getElementById(id);
/** Announce a sentence. If `isSeen` is true, the list already shows the sentence, so only screen readers get it. */
const say = (text, isSeen = false) => {
  element('said').textContent = text;
  element('said').classList.toggle('heard', isSeen);
};

const failure = (code, message) => Object.assign(new Error(message), { code });

/** The sentence for a refusal: what happened, and what to do. */
function sentence({ code, message, isOss }, config) {
  if (code === 'Network') return texts.network;
  if (/^(MissingToken|InvalidToken|ExpiredToken)$/.test(code)) {
    return config.signIn ? texts.login : texts.noSignIn;
  }
  return (isOss ? texts.notStored : texts.refused)(message, `${code}, ${texts.page}`);
}

async function fetched(url, options) {
  try {
    return await fetch(url, options);
  } catch {
    throw failure('Network', '');
  }
}

/** Ask the sandbox's sign-in for a login of `user`. */
async function login(config, user) {
  const url = new URL(config.signIn, location.href);
  url.searchParams.set('user', user);
  const answer = await (await fetched(url)).json();
  if (!answer.access_token) throw failure(answer.ErrorCode, answer.ErrorMessage);
  return answer.access_token;
}

/** PUT `file` to a signed URL. `onProgress` is called with 0 to 1. Return the status, 200 or 203. */
function put({ Url, Method, Headers }, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(Method, Url);
    for (const [name, value] of Object.entries(Headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 1);
    request.onload = () => {
      if (request.status === 200 || request.status === 203) return resolve(request.status);
      const said = new DOMParser().parseFromString(request.responseText, 'application/xml');
      const text = (name) => said.querySelector(name)?.textContent;
      const error = failure(text('Code') ?? `HTTP ${request.status}`, text('Message') ?? '');
      reject(Object.assign(error, { isOss: true }));
    };
    request.onerror = () => reject(failure('Network', ''));
    request.send(file);
  });
}

/** A unique name, because two phones may both call their picture image.jpg. */
function newName(file) {
  const ending = /\.[a-z0-9]{1,8}$/i.exec(file.name)?.[0].toLowerCase() ?? '';
  const random = [...crypto.getRandomValues(new Uint8Array(12))];
  return `photo-${random.map((byte) => byte.toString(16).padStart(2, '0')).join('')}${ending}`;
}

function added(parent, tag, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

/** Show the stored picture, resized by OSS; or say why it cannot be shown. */
async function preview(client, item, name, stored) {
  let answer;
  try {
    const wishes = { object: name, method: 'GET', 'x-oss-process': PREVIEW };
    answer = await client.ask('signed-url', wishes);
  } catch (error) {
    if (error.code !== 'NotAllowed') throw error;
    return added(item, 'p', { textContent: texts.mayNotRead(stored.Scope.Policy) });
  }
  const response = await fetched(answer.Url);
  if (!response.ok) return added(item, 'p', { textContent: texts.noPreview });
  // Do not put the signed URL itself into the document.
  const src = URL.createObjectURL(await response.blob());
  const release = () => URL.revokeObjectURL(src);
  const alt = texts.preview(item.querySelector('h2').textContent);
  return added(item, 'img', { alt, src, onload: release, onerror: release });
}

async function upload(at, file, item) {
  const name = shown(file.name);
  item.replaceChildren();
  item.ariaBusy = 'true';
  added(added(item, 'h2'), 'bdi', { textContent: name });
  const progress = added(item, 'progress', { max: 1, value: 0, ariaLabel: `${texts.uploading} ${name}` });
  try {
    const object = newName(file);
    const type = file.type && { content_type: file.type };
    const signed = await at.client.ask('signed-url', { object, size: file.size, ...type });
    const status = await put(signed, file, (part) => {
      progress.value = part;
    });
    progress.remove();
    const stored = texts.stored(signed.Object, size(file.size));
    added(item, 'p', { textContent: stored });
    if (status === 203) added(item, 'p', { textContent: texts.serverNotTold });
    say(`${name}: ${stored}`, true);
    await preview(at.client, item, object, signed);
  } catch (error) {
    progress.remove();
    const text = sentence(error, at.config);
    added(item, 'p', { className: 'bad', textContent: text });
    added(item, 'button', { type: 'button', textContent: texts.again, onclick: () => upload(at, file, item) });
    say(`${name}: ${text}`, true);
  }
  item.ariaBusy = 'false';
}

async function uploadAll(at, files) {
  for (const file of files) {
    const item = document.createElement('li');
    element('files').prepend(item);
    await upload(at, file, item);
  }
}

async function readConfig() {
  const response = await fetched('config.json', { cache: 'no-store' });
  return response.ok ? response.json() : {};
}

/** Offer the full page as soon as the sandbox has built it. */
async function offerFullPage() {
  const config = await readConfig().catch(() => ({}));
  element('full-page').hidden = !config.fullPage;
  if (!config.fullPage) setTimeout(offerFullPage, BUILT_CHECK_MS);
}

async function start() {
  if (language === 'zh') {
    document.documentElement.lang = 'zh-CN';
    document.title = texts.title;
    for (const one of document.querySelectorAll('[data-text]')) one.textContent = texts[one.dataset.text];
  }
  const config = await readConfig().catch(() => ({}));
  if (!config.appServer) return say(texts.noConfig);
  const url = new URL(config.appServer, location.href).href;
  const at = { config, client: connect({ url }) };
  element('sign-in').hidden = !config.signIn;
  element('pick').hidden = Boolean(config.signIn);
  element('sign-in').onsubmit = async (event) => {
    event.preventDefault();
    const user = element('user').value;
    let held = login(config, user);
    try {
      await held;
    } catch (error) {
      return say(sentence(error, config));
    }
    // Ask for a new login when the server refuses this login.
    at.client = connect({ url, login: (again) => (held = again ? login(config, user) : held) });
    element('pick').hidden = false;
    return say(texts.signedIn(shown(user)));
  };
  for (const id of ['take-photo', 'choose']) {
    element(id).onchange = ({ target }) => {
      const files = [...target.files];
      // Clear the field, so that the same file can be chosen again.
      target.value = '';
      uploadAll(at, files);
    };
  }
  element('full-page').querySelector('button').onclick = () => location.reload();
  return offerFullPage();
}

start();
