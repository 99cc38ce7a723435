// Runs ali-oss in Node, with the callback of a token. Reads {token, endpoint} as JSON on stdin. Prints the
// app server's answers to a simple upload and to an upload in parts.

import { setDefaultResultOrder } from 'node:dns';
import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

// The sandbox listens on 127.0.0.1 only, but localhost may resolve to ::1 first.
setDefaultResultOrder('ipv4first');

const { token, endpoint } = await json(process.stdin);
const scope = token.Scope;
const client = new OSS({
  accessKeyId: token.AccessKeyId,
  accessKeySecret: token.AccessKeySecret,
  stsToken: token.SecurityToken,
  bucket: scope.Bucket,
  endpoint,
  sldEnable: true,
  region: `oss-${scope.Region}`,
  authorizationV4: true,
  timeout: 10000,
});

// This is the code of docs/callbacks.md.
const { callbackUrl, callbackBody, callbackBodyType, callbackSNI } = JSON.parse(
  atob(scope.Callback),
);
const callback = {
  url: callbackUrl,
  body: callbackBody,
  contentType: callbackBodyType,
  callbackSNI,
  customValue: { seal: JSON.parse(atob(scope.CallbackVar))['x:seal'] },
};

// In this callback, the app adds its own variable `order`. The seal stays in the callback.
const own = {
  ...callback,
  body: callbackBody + '&order=${x:order}',
  customValue: { ...callback.customValue, order: '7' },
};

const put = await client.put(`${scope.Prefix}js put.txt`, Buffer.from('Hello'), { callback });
const parts = await client.multipartUpload(
  `${scope.Prefix}js parts.bin`,
  Buffer.alloc(300 * 1024),
  { callback: own, partSize: 100 * 1024 },
);
console.log(JSON.stringify({ put: put.data, multipart: parts.data }));
