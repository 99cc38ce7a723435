// What the browser keeps over a reload, all of it without a secret: nothing where it keeps nothing.

const UPLOADS = 'oss-upload of ';

/** What is kept under a name; null for nothing. */
export function get(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // cookies are off
  }
}

/** Keep a text, if the browser does; null: no longer. */
export function set(name, text) {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // A reload forgets it.
  }
}

const held = new Map();

/** The client's store: the sealed `Upload` of each upload in parts. It opens nothing without a login. */
export const uploads = {
  get: (id) => held.get(id) ?? get(UPLOADS + id),
  set(id, text) {
    held.set(id, text);
    set(UPLOADS + id, text);
  },
  remove(id) {
    held.delete(id);
    set(UPLOADS + id, null);
  },
};
