// Replaces exifr for Uppy's thumbnails, so the first load does not have it.

/** How to rotate a picture, in exifr's form. */
export const rotation = async (picture) => (await import('exifr/dist/mini.esm.mjs')).rotation(picture);
