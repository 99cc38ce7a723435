/** What goes with a call; each stands in docs/signed-urls.md. Unknown ones are passed through. */
export type Wishes = Record<string, unknown>;

/** What the function or OSS refused, or what got no answer. It never holds a URL, a login or a token. */
export class UploadError extends Error {
  constructor(code: string, status: number, message: string, retryable?: boolean, seconds?: number);
  /**
   * ErrorCode of the function, Code of OSS's XML, 'Network' (no answer), 'Aborted' (by `signal`),
   * 'Throttling' (429 of the platform), 'InvalidAnswer' (neither the function's nor OSS's).
   */
  code: string;
  /** The body's StatusCode, or the HTTP status; 0 where there was no answer. */
  status: number;
  /** Whether the same request may succeed later: no answer, 429, 503, the platform's 5xx. */
  retryable: boolean;
  /** How long to wait at least, as Retry-After says; 0 to 60. */
  seconds: number;
}

/** What `request` gets and answers; fetch's names. */
export interface Asked {
  /** GET, POST, PUT or DELETE. */
  method: string;
  headers: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal;
}
export interface Answered {
  status: number;
  text: string;
  header?(name: string): string | null;
}

export interface Options {
  /** The function's URL. */
  url: string | URL;
  /** The login (JWT), or what gives it; asked once more, with true, after a 401. */
  login?: string | ((again: boolean) => string | undefined | Promise<string | undefined>);
  /** Go with each call of the function. */
  wishes?: Wishes;
  /** Go with each request, of the function and of OSS. Not signed. */
  headers?: Record<string, string>;
  /** Where uploads in parts are remembered; default: localStorage where there is one, else memory. */
  store?: Store;
  /** Sends a request; default: fetch. A mini program gives one by wx.request. */
  request?: (url: string, asked: Asked) => Promise<Answered>;
  /** Milliseconds since 1970; a wait in milliseconds; 0 up to 1. For tests. */
  now?: () => number;
  sleep?: (ms: number) => Promise<unknown>;
  random?: () => number;
}

export interface Store {
  get(id: string): string | null;
  set(id: string, text: string): unknown;
  remove(id: string): unknown;
}

export interface Scope {
  Bucket: string;
  Region: string;
  Endpoint: string;
  Cname: boolean;
  Prefix: string;
  Policy: string;
  Callback?: string;
  CallbackVar?: string;
  [more: string]: unknown;
}

export interface Token {
  StatusCode: 200;
  AccessKeyId: string;
  AccessKeySecret: string;
  SecurityToken: string;
  Expiration: string;
  LastUpdated: string;
  Scope: Scope;
  [more: string]: unknown;
}

export interface Answer {
  StatusCode: 200;
  [more: string]: any;
}

export interface Listing extends Answer {
  Prefix: string;
  Uploads: { Key: string; Size: number; LastModified: string; ETag: string; ContentType?: string | null }[];
  Marker?: string;
}

/** An upload that OSS stored. `status` 203: the callback failed; `text` is what OSS or the callback answered. */
export interface Stored {
  key: string;
  status: number;
  text: string;
}

export type Way = 'token' | 'signed-url' | 'form' | 'multipart';

/** What the way 'token' has signed: a request of OSS, as ali-oss's signatureUrlV4 takes it. */
export interface ToSign {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  key: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  seconds: number;
}
export type Sign = (token: Token, request: ToSign) => string | Promise<string>;

/** Of Uppy's file. */
export interface UppyFile {
  id: string;
  s3Multipart?: { key: string; uploadId: string };
  [more: string]: any;
}

/** Options of @uppy/aws-s3 6. */
export interface AwsS3Options {
  shouldUseMultipart: boolean;
  getChunkSize(): number;
  generateObjectKey(file: UppyFile): string;
  signRequest(request: { method: string; key: string; uploadId?: string; partNumber?: number }): Promise<{
    url: string;
    key?: string;
    headers?: Record<string, string>;
    fields?: Record<string, string>;
  }>;
}

/** wx.uploadFile, uni.uploadFile. */
export type UploadFile = (options: {
  url: string;
  filePath: string;
  name: string;
  formData: Record<string, string>;
  success(answer: { statusCode: number; data: string }): void;
  fail(error: unknown): void;
}) => unknown;

export interface Client {
  /** Where uploads in parts are remembered; an upload by Uppy under its file's id until you remove it. */
  store: Store;
  /** A token. One request for all who wait; asked for anew when 300 s (or half of its life) are left. */
  token(wishes?: Wishes): Promise<Token>;
  /** Have the next token asked for anew: OSS said that this one has ended, or somebody else signed in. */
  forget(): void;
  /** Ask a route: 'signed-url', 'form', 'multipart' (by POST), 'uploads'. Throws UploadError. */
  ask(path: string, wishes?: Wishes, method?: 'GET' | 'POST'): Promise<Answer>;
  /** A page of the caller's own uploads. */
  uploads(wishes?: { limit?: number; marker?: string; details?: 0 | 1 }): Promise<Listing>;
  /**
   * Options of @uppy/aws-s3 for one way. `wishesOf` says what a file is asked for with: `object` (its name
   * under the prefix) or `name: 'auto'` and `ext`; its size and type are added. 'token' needs `object`.
   */
  uppy(way: 'token', wishesOf: (file: UppyFile) => Wishes, sign: Sign): AwsS3Options;
  uppy(way: Way, wishesOf: (file: UppyFile) => Wishes, sign?: Sign): AwsS3Options;
  /** Upload by a form; in a mini program `file` is a path, and `uploadFile` its own. */
  postForm(file: Blob, wishes: Wishes): Promise<Stored>;
  postForm(file: string, wishes: Wishes, uploadFile: UploadFile): Promise<Stored>;
  /** Upload in parts of 5 MiB; called again with the same `id`, it sends only what is missing. */
  uploadParts(file: Blob, wishes: Wishes, options?: {
    /** What it is remembered by in `store`: one file, one caller, one object. Without it: not at all. */
    id?: string;
    /** 0 to 1, after each part. */
    onProgress?(done: number): void;
    signal?: AbortSignal;
  }): Promise<Stored>;
  /** Give up what uploadParts began, and have OSS remove its parts. */
  abortParts(id: string): Promise<void>;
}

/** A client of one function, for one caller. */
export function connect(options: Options): Client;

/** Where a token's objects are, with a slash at the end: CNAME, virtual host, or by an address its path. */
export function scopeUrl(scope: Pick<Scope, 'Endpoint' | 'Bucket' | 'Cname'>): string;
