// Says what an error means, and what to do about it. The texts are from docs/errors.json, in the page's language.

const LONGEST = 400; // maximum characters of a server's own message
const OWN_WORDS = ['Network']; // for these codes the browser's message is less useful than the sentence

/**
 * What happened and what to do, for an error of the function, STS, OSS or the network. The text quotes the
 * server's message, because this message names the wish or the variable that is wrong.
 * @param {{errors: object, t: function}} at
 * @param {{code?: string, message?: string, status?: number}} error `status` is an HTTP status, 0 for none
 * @returns {{text: string, todo: string, page?: string}} `page` is where the project's documentation has this code
 */
export function sentence(at, { code = '', message = '', status = 0 }) {
  const known = knownOf(at.errors, code, status);
  const entry = at.errors[known];
  if (!entry) return { text: at.t('error.unknown', { message: message || code || status }), todo: at.t('error.try') };
  const words = OWN_WORDS.includes(code) ? '' : message.slice(0, LONGEST);
  const page = `${at.t('error.page')}#${known.toLowerCase().replaceAll('.', '')}`;
  return { text: words ? at.t('error.said', { what: entry.what, words }) : entry.what, todo: entry.do, page };
}

/** Return the code of docs/errors.json that explains this error, or '' if there is none. */
function knownOf(errors, code, status) {
  // Object.hasOwn is needed, because a server may answer the code "constructor".
  const known = [code, code.split('.')[0]].find((one) => Object.hasOwn(errors, one));
  if (known) return known;
  if (status === 429) return 'Throttling.User';
  return status >= 500 ? 'ServiceUnavailable' : '';
}
