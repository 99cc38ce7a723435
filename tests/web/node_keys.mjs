// Uses keys with control characters in ali-oss. Reads {endpoint, key, secret, bucket, name} on stdin.

import { setDefaultResultOrder } from 'node:dns';
import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

// The sandbox listens on 127.0.0.1 only, but localhost may resolve to ::1 first.
setDefaultResultOrder('ipv4first');

const job = await json(process.stdin);
const store = new OSS({
  accessKeyId: job.key,
  accessKeySecret: job.secret,
  bucket: job.bucket,
  endpoint: job.endpoint,
  region: 'oss-cn-hangzhou',
  sldEnable: true,
  authorizationV4: true,
});
await store.put(job.name, Buffer.from('x'));
const names = (answer) => answer.objects.map((found) => found.name);
const list = names(await store.list({ prefix: job.name, 'max-keys': 1 }));
const listV2 = names(await store.listV2({ prefix: job.name, 'max-keys': 1 }));
const { deleted } = await store.deleteMulti([job.name]);
console.log(JSON.stringify({ list, listV2, deleted: deleted.map(({ Key }) => Key) }));
