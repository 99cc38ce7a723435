// Runs ali-oss in Node. Reads a job (see token_use.mjs) as JSON on stdin, and prints the outcomes as JSON.

import { setDefaultResultOrder } from 'node:dns';
import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

import './localhost_names.mjs';
import { useToken } from './token_use.mjs';

// The sandbox listens on 127.0.0.1 only, but localhost may resolve to ::1 first.
setDefaultResultOrder('ipv4first');

const outcomes = await useToken(OSS, await json(process.stdin), {
  blob: Buffer.from,
  file: Buffer.from,
});
console.log(JSON.stringify(outcomes));
