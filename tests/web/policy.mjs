/** The Content-Security-Policy of the sandbox's pages, without the bucket's own origin. */
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
  + " connect-src 'self' https: http://127.0.0.1:* http://localhost:*; media-src blob:; manifest-src 'self';"
  + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
