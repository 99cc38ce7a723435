// OSS's answers to Uppy's requests. The page's XMLHttpRequest keeps the status (203: the callback failed) and the
// text (the callback's own answer), because Uppy does not report them.

import { elementOf } from './xml.js';

const LONGEST = 10_000; // maximum characters of a kept text
const answers = new Map(); // path of an object -> the last answer

/** The last answer for a key: {status, text, completed}. `completed` is the UploadId of a completed upload. */
export function answerOf(key = '') {
  return key ? Array.from(answers).find(([path]) => path.endsWith(`/${key}`))?.[1] : undefined;
}

/** From now on, keep each answer of OSS, and tell the listeners of `at` about it by the event 'request'. */
export function watchOss(at) {
  window.XMLHttpRequest = class extends XMLHttpRequest {
    open(method, url, ...more) {
      super.open(method, url, ...more);
      // Add this listener before Uppy adds its listeners, because they are called in this order.
      this.addEventListener('load', () => note(at, this, method, new URL(url, document.baseURI)));
    }

    send(body) {
      // A form goes to the bucket's URL, and has its object key in a field.
      this.object = body instanceof FormData ? body.get('key') : '';
      super.send(body);
    }

    getResponseHeader(name) {
      // Reading a header that CORS hides would print an error on the console.
      const lines = this.getAllResponseHeaders().split('\r\n').map((line) => line.split(': '));
      return lines.find(([other]) => other.toLowerCase() === name.toLowerCase())?.slice(1).join(': ') ?? null;
    }
  };
}

function note(at, { status, responseText, responseType, object }, method, url) {
  const text = responseType ? '' : responseText.slice(0, LONGEST);
  const path = decodeURIComponent(url.pathname) + object;
  const code = elementOf(text, 'Code');
  const completed = method === 'POST' && status < 300 ? url.searchParams.get('uploadId') : null;
  answers.delete(path);
  answers.set(path, { status, text, completed });
  if (answers.size > 100) answers.delete(answers.keys().next().value);
  at.emit('request', { server: 'OSS', method, path, status, code });
}
