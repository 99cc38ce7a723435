// ali-oss in Node: reads a job (see token_use.mjs) as JSON on stdin, prints the outcomes as JSON.

import { setDefaultResultOrder } from 'node:dns';
import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

import './localhost_names.mjs';
import { useToken } from './token_use.mjs';

// The sandbox listens on 127.0.0.1 only, and localhost may be ::1 first.
setDefaultResultOrder('ipv4first');

const outcomes = await useToken(OSS, await json(process.stdin), {
  blob: Buffer.from,
  file: Buffer.from,
});
console.log(JSON.stringify(outcomes));
