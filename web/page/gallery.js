// The files in the caller's folder, with thumbnails made by OSS, and this page's new uploads.

import { shown, size } from '../small/names.js';
import { made } from './elements.js';
import { sentence } from './sentences.js';
import { isPicture, isUnreadable, read } from './stored.js';
import { elementOf } from './xml.js';

const PAGE = 24; // objects in one listing
const AT_ONCE = 4; // thumbnails that are fetched at the same time
const THUMBNAIL = 'image/auto-orient,1/resize,m_fill,w_240,h_240';
const CALLBACK_FAILED = 203; // stored, but the callback failed

/** Mount the view into `root`. */
export function mount(root, at) {
  const note = made('p', { id: 'uploads-note', class: 'hint', role: 'status' });
  const list = made('ul', { id: 'uploads' });
  const more = made('button', { id: 'more', type: 'button', hidden: true }, at.t('gallery.more'));
  const title = made('h2', { id: 'uploads-title' }, at.t('gallery.title'));
  root.append(made('section', { class: 'card', 'aria-labelledby': title.id }, title, note, list, more));

  let view; // the state for one server and one caller; 'changed' makes a new one
  const begin = () => {
    view?.thumbnails.stop();
    view = { items: new Map(), prefix: undefined, marker: undefined, notes: {}, thumbnails: thumbnails(at, say) };
    list.replaceChildren();
    more.hidden = true;
    say({});
  };
  /** Say why something is not shown. `notes` maps a topic to its new text, which replaces the topic's older text. */
  const say = (notes) => {
    Object.assign(view.notes, notes);
    const sentences = Object.values(view.notes).filter(Boolean);
    note.textContent = sentences.join(' ') || (view.items.size ? '' : at.t('gallery.none'));
  };

  const load = async () => {
    const current = view;
    more.disabled = true;
    try {
      const marker = current.marker ? { marker: current.marker } : {};
      const { Uploads, Prefix, Marker } = await at.client().ask('uploads', { limit: PAGE, ...marker });
      if (current !== view) return;
      Object.assign(current, { prefix: Prefix, marker: Marker });
      Uploads.forEach(({ Key, Size, LastModified }) => put({ key: Key, size: Size, time: new Date(LastModified) }));
      say({ list: '' });
    } catch (error) {
      if (current !== view) return;
      const { text, todo } = sentence(at, error);
      say({ list: `${at.t('gallery.unlisted')} ${text} ${todo}` });
    }
    more.hidden = !current.marker;
    more.disabled = false;
  };

  /** Show an object, or update it. The newest object is the first. */
  const put = (entry) => {
    const { items } = view;
    items.get(entry.key)?.element.remove();
    const item = { ...entry, element: itemOf(at, entry, view) };
    items.set(entry.key, item);
    const older = [...items.values()].filter((other) => other !== item && other.time <= item.time)
      .sort((one, other) => other.time - one.time)[0];
    list.insertBefore(item.element, older?.element ?? null);
  };

  at.on('changed', begin);
  at.on('ways', () => {
    begin();
    if (at.session.needed) say({ list: at.t('gallery.signIn') });
    else load();
  });
  at.on('uploaded', ({ key, object, size: bytes, status, answer }) => {
    view.prefix ??= at.scope?.Prefix ?? (object && key.endsWith(object) ? key.slice(0, -object.length) : undefined);
    put({ key, size: bytes, time: new Date(), told: toldOf(at, status, answer) });
    say({});
  });
  more.addEventListener('click', load);
  begin();
}

/** The result of an upload's callback: {text} if it failed, {answer} if it succeeded, undefined if there was none. */
function toldOf(at, status, answer = '') {
  if (status === CALLBACK_FAILED) {
    const message = elementOf(answer, 'Message');
    const { text, todo } = sentence(at, { code: 'CallbackFailed', message, status });
    return { text: `${at.t('gallery.notTold')} ${text} ${todo}` };
  }
  // An answer in JSON is from the callback, because OSS's own answers are XML or empty.
  return answer.trim().startsWith('{') ? { answer: answer.trim() } : undefined;
}

function itemOf(at, { key, size: bytes, time, told }, view) {
  const name = shown(key.slice((view.prefix ?? '').length));
  const when = new Intl.DateTimeFormat(at.language, { dateStyle: 'medium', timeStyle: 'short' }).format(time);
  const frame = made('span', { class: 'frame', 'aria-hidden': 'true' }, endingOf(key));
  const disabled = view.prefix === undefined; // without the prefix, the name for the function is not known
  const button = made('button', { type: 'button', class: 'thumbnail', disabled }, frame,
    made('bdi', { class: 'name' }, name), made('span', { class: 'hint' }, `${size(bytes)} · ${when}`));
  button.addEventListener('click', async () => {
    const { open } = await import('./viewer.js');
    open(at, { prefix: view.prefix, key, name, size: bytes }, button);
  });
  const item = made('li', {}, button);
  if (told?.text) item.append(made('p', { class: 'fault' }, told.text));
  if (told?.answer) {
    item.append(made('details', {}, made('summary', {}, at.t('gallery.answer')),
      made('pre', { tabIndex: 0 }, told.answer)));
  }
  if (isPicture(key) && !disabled) view.thumbnails.add(view.prefix, key, frame);
  return item;
}

/** The extension of a file name. If a file has no thumbnail, the page shows the extension. */
const endingOf = (key) => key.match(/\.([A-Za-z0-9]{1,5})$/)?.[1].toUpperCase() ?? '—';

/** Fetch thumbnails when they become visible, a few at a time; stop when reading is not allowed. */
function thumbnails(at, say) {
  const waiting = [];
  let running = 0;
  let isStopped = false;
  const next = async () => {
    if (isStopped || running >= AT_ONCE || !waiting.length) return;
    running += 1;
    const { prefix, key, frame } = waiting.shift();
    try {
      const src = URL.createObjectURL(await read(at, prefix, key, THUMBNAIL));
      const release = () => URL.revokeObjectURL(src);
      frame.replaceChildren(made('img', { alt: '', src, onload: release, onerror: release }));
    } catch (error) {
      if (isUnreadable(error) && !isStopped) {
        isStopped = true;
        const { text, todo } = sentence(at, error);
        say({ read: `${at.t('gallery.unreadable')} ${text} ${todo}` });
      }
      // After any other error, only this picture is missing. Its frame shows the extension.
    }
    running -= 1;
    next();
  };
  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      sight.unobserve(target);
      waiting.push(wanted.get(target));
      next();
    }
  }, { rootMargin: '200px' });
  const wanted = new WeakMap();
  return {
    add(prefix, key, frame) {
      wanted.set(frame, { prefix, key, frame });
      sight.observe(frame);
    },
    stop() {
      isStopped = true;
      sight.disconnect();
    },
  };
}
