// Keeps data in the browser, so that it survives a reload. Secrets are never kept. A browser may refuse to keep data.

const UPLOADS = 'oss-upload of ';

/** Return the text that is stored under a name, or null if there is none. */
export function get(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // cookies are off
  }
}

/** Store a text under a name, if the browser allows it. If `text` is null, remove the stored text. */
export function set(name, text) {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // Without storage, a reload loses the text.
  }
}

const held = new Map();

/** The client's store: the sealed `Upload` of each upload in parts. An `Upload` gives no access without a login. */
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
