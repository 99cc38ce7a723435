// Runs ali-oss's own STS client. Reads {endpoint, key, secret, role} as JSON on stdin, and prints the credentials.

import { json } from 'node:stream/consumers';

import OSS from 'ali-oss';

const { endpoint, key, secret, role } = await json(process.stdin);
const sts = new OSS.STS({ accessKeyId: key, accessKeySecret: secret, endpoint });
const { credentials } = await sts.assumeRole(role);
console.log(JSON.stringify(credentials));
