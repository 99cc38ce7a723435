// The package exifr is loaded only when Uppy makes a thumbnail. Therefore exifr is not part of the page's first
// load.

/** How to rotate a picture, in exifr's form. */
export const rotation = async (picture) => (await import('exifr/dist/mini.esm.mjs')).rotation(picture);
