// Shows one stored object in a large view, and downloads it. OSS resizes the picture, adds a watermark and sets
// its quality. This module is loaded when the first view opens.

import { size } from '../small/names.js';
import { made } from './elements.js';
import { sentence } from './sentences.js';
import { download, isPicture, read } from './stored.js';

const SHOWN_WIDTH = 1600; // pixels, if the user chose none; a smaller picture stays unchanged
const WIDTHS = [800, 400];
const QUALITIES = [90, 75, 50, 25]; // percent
const MARK_BYTES = 64; // maximum bytes of a watermark's text in UTF-8 that OSS accepts
const MARK = 'size_40,color_FFFFFF,shadow_60,g_se,x_20,y_20';
const WAIT_MS = 500; // the pause after a key press, before OSS is asked

/** Show `entry` ({prefix, key, name, size in bytes}); closing returns the focus to `opener`. */
export function open(at, entry, opener) {
  const t = (key, values) => at.t(`viewer.${key}`, values);
  const picture = isPicture(entry.key);
  const close = made('button', { type: 'button', id: 'close-viewer', 'aria-label': t('close') }, '✕');
  const title = made('h2', { id: 'viewer-title' }, made('bdi', {}, entry.name));
  const image = made('img', { alt: t('alt', { name: entry.name }), hidden: true });
  const said = made('p', { class: 'hint', role: 'status' });
  const save = made('button', { type: 'button', id: 'download', class: 'primary' });
  const mark = made('input', { id: 'watermark', type: 'text', maxLength: MARK_BYTES, autocomplete: 'off' });
  const width = select('width', t('widest', { width: SHOWN_WIDTH }), WIDTHS.map((pixels) => [pixels, `${pixels} px`]));
  const quality = select('quality', t('qualityAsIs'), QUALITIES.map((percent) => [percent, `${percent} %`]));
  const options = made('div', { class: 'options', hidden: !picture },
    ...[['watermark', mark], ['width', width], ['quality', quality]].map(([name, input]) =>
      made('label', { class: 'field' }, made('span', {}, t(name)), input)));
  const dialog = made('dialog', { id: 'viewer', 'aria-labelledby': title.id },
    made('div', { class: 'head' }, title, close), made('div', { class: 'picture' }, image), said, options,
    made('p', { class: 'line' }, save));

  const isChanged = () => Boolean(width.value || quality.value || mark.value.trim());
  /**
   * Return the value of x-oss-process for the picture that is shown. If the user changed an option, the download
   * uses this value too. The value always limits the width, because a stored picture may be very large.
   */
  const processOf = () => [
    'image/auto-orient,1',
    `resize,w_${width.value || SHOWN_WIDTH}`,
    quality.value && `quality,q_${quality.value}`,
    mark.value.trim() && `watermark,text_${base64url(fitting(mark.value.trim()))},${MARK}`,
  ].filter(Boolean).join('/');

  const fail = (error) => {
    const { text, todo } = sentence(at, error);
    said.textContent = `${text} ${todo}`;
  };
  let src;
  let turn = 0;
  const show = async () => {
    const mine = (turn += 1);
    save.textContent = t(isChanged() ? 'downloadShown' : 'download');
    if (!picture) {
      said.textContent = t('noPicture', { size: size(entry.size) });
      return;
    }
    said.textContent = t('loading');
    try {
      const blob = await read(at, entry.prefix, entry.key, processOf());
      if (mine !== turn) return;
      URL.revokeObjectURL(src);
      src = URL.createObjectURL(blob);
      image.src = src;
      await image.decode();
      if (mine !== turn) return;
      image.hidden = false;
      said.textContent = t('facts', { width: image.naturalWidth, height: image.naturalHeight,
        size: size(blob.size), whole: size(entry.size) });
    } catch (error) {
      if (mine !== turn) return;
      image.hidden = true;
      if (error.code) fail(error);
      else said.textContent = t('undecodable');
    }
  };

  let timer;
  options.addEventListener('input', ({ target }) => {
    clearTimeout(timer);
    timer = setTimeout(show, target === mark ? WAIT_MS : 0);
  });
  save.addEventListener('click', async () => {
    save.disabled = true;
    const process = isChanged() ? processOf() : undefined;
    await download(at, entry.prefix, entry.key, entry.key.split('/').at(-1), process).catch(fail);
    save.disabled = false;
  });
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close());
  // The browser also closes the dialog on Escape, and keeps the focus inside while it is open.
  dialog.addEventListener('close', () => {
    turn += 1;
    clearTimeout(timer);
    URL.revokeObjectURL(src);
    dialog.remove();
    opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  show();
}

function select(id, first, choices) {
  const options = [['', first], ...choices].map(([value, text]) => made('option', { value }, text));
  return made('select', { id }, ...options);
}

/** The longest beginning of the text that OSS accepts. No character is cut. */
function fitting(text) {
  let kept = '';
  for (const one of text) {
    if (new TextEncoder().encode(kept + one).length > MARK_BYTES) break;
    kept += one;
  }
  return kept;
}

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}
