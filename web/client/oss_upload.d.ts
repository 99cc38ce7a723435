/** The wishes of a call; docs/signed-urls.md describes each. Unknown wishes are sent to the function too. */
export type Wishes = Record<string, unknown>;

/** A refusal of the function or OSS, or a missing answer. The error never holds a URL, a login or a token. */
export class UploadError extends Error {
  constructor(code: string, status: number, message: string, retryable?: boolean, seconds?: number);
  /**
   * The ErrorCode of the function, the Code in OSS's XML, or one of these: 'Network' (no answer), 'Aborted' (by
   * `signal`), 'Throttling' (429 of the platform), 'InvalidAnswer' (the answer is not from the function or OSS).
   */
  code: string;
  /** The body's StatusCode, or the HTTP status; 0 if there was no answer. */
  status: number;
  /** Whether the same request may succeed later: there was no answer, or a 429, a 503, or a 5xx of the platform. */
  retryable: boolean;
  /** The shortest time to wait in seconds, from Retry-After; 0 to 60. */
  seconds: number;
}

/** The arguments and the result of `request`, with the names that fetch uses. */
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
  /** The login (JWT), or a function that returns it. After a 401, this function is called again, with `true`. */
  login?: string | ((again: boolean) => string | undefined | Promise<string | undefined>);
  /** Wishes for each call of the function. */
  wishes?: Wishes;
  /** Headers for each request, to the function and to OSS. They are not signed. */
  headers?: Record<string, string>;
  /** Stores the state of uploads in parts. Default: localStorage if it exists, otherwise memory. */
  store?: Store;
  /** Sends a request; default: fetch. A mini program passes a function that uses wx.request. */
  request?: (url: string, asked: Asked) => Promise<Answered>;
  /** Tests set these: the time in milliseconds since 1970, a wait in milliseconds, a random number from 0 up to 1. */
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

/**
 * An upload that OSS stored. `status` 203 means that the callback failed. `text` is the answer of OSS or of
 * the callback.
 */
export interface Stored {
  key: string;
  status: number;
  text: string;
}

export type Way = 'token' | 'signed-url' | 'form' | 'multipart';

/** A request to OSS. For the way 'token', `sign` makes a signed URL for this request, like ali-oss's signatureUrlV4. */
export interface ToSign {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  key: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  seconds: number;
}
export type Sign = (token: Token, request: ToSign) => string | Promise<string>;

/** The members of Uppy's file that are used. */
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
  /**
   * Stores the state of uploads in parts. The state of an upload by Uppy stays in this store,
   * under the id of Uppy's file, until you remove it.
   */
  store: Store;
  /**
   * A token. Calls at the same time share one request. A new token is requested when the old one expires
   * within 300 s, or within half of its life if that is less than 300 s.
   */
  token(wishes?: Wishes): Promise<Token>;
  /**
   * Drop the token, so that the next call requests a new one. Call this if OSS said that the token has expired,
   * or if another user signed in.
   */
  forget(): void;
  /**
   * Send a request to a route of the function: 'signed-url', 'form', 'uploads', or by POST 'multipart'. Throws
   * UploadError.
   */
  ask(path: string, wishes?: Wishes, method?: 'GET' | 'POST'): Promise<Answer>;
  /** Get one page of the list of the caller's uploads. */
  uploads(wishes?: { limit?: number; marker?: string; details?: 0 | 1 }): Promise<Listing>;
  /**
   * Options of @uppy/aws-s3 for one way to upload. `wishesOf` returns the wishes for a file: `object` (its name
   * under the prefix), or `name: 'auto'` and `ext`. The client adds size and type. The way 'token' needs `object`.
   */
  uppy(way: 'token', wishesOf: (file: UppyFile) => Wishes, sign: Sign): AwsS3Options;
  uppy(way: Way, wishesOf: (file: UppyFile) => Wishes, sign?: Sign): AwsS3Options;
  /** Upload by a form; in a mini program `file` is a path, and `uploadFile` is wx.uploadFile. */
  postForm(file: Blob, wishes: Wishes): Promise<Stored>;
  postForm(file: string, wishes: Wishes, uploadFile: UploadFile): Promise<Stored>;
  /** Upload in parts of 5 MiB. Another call with the same `id` sends only the missing parts. */
  uploadParts(file: Blob, wishes: Wishes, options?: {
    /**
     * The name under which `store` keeps the upload. Use another id for each file, caller and object. Without an
     * id, the upload cannot be continued.
     */
    id?: string;
    /** Called after each part, with a number from 0 to 1. */
    onProgress?(done: number): void;
    signal?: AbortSignal;
  }): Promise<Stored>;
  /** Abort an upload of uploadParts, and let OSS remove its parts. */
  abortParts(id: string): Promise<void>;
}

/** A client of one function, for one caller. */
export function connect(options: Options): Client;

/**
 * The URL of a token's objects, with a slash at the end. Its host is the CNAME or `bucket.endpoint`. If the
 * endpoint is an IP address, the bucket is in the path.
 */
export function scopeUrl(scope: Pick<Scope, 'Endpoint' | 'Bucket' | 'Cname'>): string;
