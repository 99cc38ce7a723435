// Makes the names and sizes of files readable. Both pages use this module.

// Characters that change the direction of text, have no width, or end a line. Joiners are not
// replaced, because emoji and some scripts need them.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const JOINERS = '\u200c\u200d';

/** A name that anybody may have chosen, with deceptive characters written as `\u{202e}`. */
export const shown = (name) =>
  name.replace(UNSEEN, (one) => (JOINERS.includes(one) ? one : `\\u{${one.codePointAt(0).toString(16)}}`));

/** A size in bytes, like `1.5 MB`, with units of 1024 as in Uppy. */
export function size(bytes) {
  const units = ['B', 'KB', 'MB', 'GB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${value < 10 && power ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
