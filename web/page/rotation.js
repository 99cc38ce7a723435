// What Uppy's thumbnails take from exifr, without exifr in the first load.

/** How to turn a picture, as exifr says. */
export const rotation = async (picture) => (await import('exifr/dist/mini.esm.mjs')).rotation(picture);
