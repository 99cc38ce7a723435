// Loads exifr only when Uppy makes a thumbnail, so that it is not part of the first load.

/** How to rotate a picture, in exifr's form. */
export const rotation = async (picture) => (await import('exifr/dist/mini.esm.mjs')).rotation(picture);
