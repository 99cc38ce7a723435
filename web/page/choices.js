// The user's choices before an upload: the way, simple or resumable, and the object's name.

import * as settings from './settings.js';
import { WAYS } from './ways.js';

/**
 * How a file is uploaded: its way, and its name under the prefix. The name differs from all `names`. It is '' if
 * the server chooses the name.
 */
export function begun(file, at, names) {
  const { way, resumable, naming } = at.settings;
  const caller = callerOf(at);
  const made = way === 'multipart' && !file.size ? 'signed-url' : way; // a part has at least one byte
  if (naming === 'server' && made !== 'token') return { way: made, resumable, caller, object: '' };
  const wished = document.getElementById('object-name').value.trim();
  const name = !wished ? file.name : wished.endsWith('/') ? `${wished}${file.name}` : wished;
  return { way: made, resumable, caller, object: free(name, new Set(names)) };
}

/** A name that no other file of the list has: photo.jpg, photo-2.jpg. */
function free(name, taken) {
  const [, stem, ending] = name.match(/^(.*?)(\.[^./]*)?$/s);
  let found = name;
  for (let number = 2; taken.has(found); number += 1) found = `${stem}-${number}${ending ?? ''}`;
  return found;
}

/** The wishes that the client sends to the function. */
export function wishesOf({ meta: { object }, name, size, type }) {
  const [, ext] = name.match(/\.([A-Za-z0-9]{1,10})$/) ?? [];
  const named = object ? { object } : { name: 'auto', ...(ext ? { ext: ext.toLowerCase() } : {}) };
  return { ...named, size, content_type: type || 'application/octet-stream' };
}

/** The owner of an upload: another server or user cannot continue it. */
export const callerOf = (at) => `${at.settings.appServer} ${at.session.user}`;

/**
 * Let the user choose the way to upload, and show the parts of the page that belong to this way. `at` emits 'way'
 * when the user chooses another way.
 */
export function offerWays(root, at) {
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

/** Mount the choice of the object's name. */
export function offerNames(root, at) {
  for (const input of root.querySelectorAll('[name=naming]')) {
    input.addEventListener('change', () => {
      settings.keep(at, { naming: input.value });
      at.emit('naming');
    });
  }
}
