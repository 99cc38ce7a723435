// Signs URLs with ali-oss. Reads {endpoint, key, secret, bucket, jobs: [{method, expires, headers,
// name, additional}]} as JSON on stdin, and prints {urls}.

import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

const { endpoint, key, secret, bucket, jobs } = await json(process.stdin);
const store = new OSS({
  accessKeyId: key,
  accessKeySecret: secret,
  bucket,
  endpoint,
  region: 'oss-cn-hangzhou',
  sldEnable: true,
  authorizationV4: true,
});
const urls = [];
for (const { method, expires, headers, name, additional } of jobs) {
  urls.push(await store.signatureUrlV4(method, expires, { headers }, name, additional));
}
console.log(JSON.stringify({ urls }));
