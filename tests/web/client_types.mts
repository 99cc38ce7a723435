// A use of all that web/client/oss_upload.d.ts declares; compiled by a test, never run.
import { connect, scopeUrl, UploadError } from '../../web/client/oss_upload.js';
import type { Client, Sign, Stored, Token, UploadFile } from '../../web/client/oss_upload.js';

declare const file: File;
declare const uploadFile: UploadFile;
declare const sign: Sign;

const client: Client = connect({
  url: 'https://token.example.com/',
  login: async (again) => (again ? 'new' : 'kept'),
  wishes: { policy: 'bucket_write_policy' },
  headers: { 'X-Trace': '1' },
  store: { get: () => null, set: () => {}, remove: () => {} },
  request: async (url, { method, headers, body }) => ({ status: 200, text: `${url}${method}${headers}${body}` }),
  now: () => 0,
  sleep: async () => {},
  random: () => 0,
});
const wishes = { object: 'a.jpg', content_type: 'image/jpeg' };
const token: Token = await client.token({ duration: 900 });
const where: string = scopeUrl(token.Scope);
const url: string = (await client.ask('signed-url', { ...wishes, method: 'PUT' })).Url;
const sizes: number[] = (await client.uploads({ limit: 10 })).Uploads.map(({ Size }) => Size);
const stored: Stored[] = [
  await client.postForm(file, wishes),
  await client.postForm('wxfile://a.jpg', wishes, uploadFile),
  await client.uploadParts(file, { ...wishes, size: file.size }, { id: 'a', onProgress: (done) => void done.toFixed() }),
];
await client.abortParts('a');
client.forget();
const { signRequest } = client.uppy('form', (wishes) => ({ object: wishes.id }), sign);
try {
  await signRequest({ method: 'PUT', key: 'a' });
} catch (error) {
  if (error instanceof UploadError) console.log(error.code, error.status, error.retryable);
}
console.log(where, url, sizes, stored);
