// Preloaded into the CLI: it would ask STS, on the net, whether the keys that it is given are real.
'use strict';

const dns = require('dns');

dns.lookup = (name, options, done) => {
  const refusal = new Error(`${name} is not looked up from a test`);
  process.nextTick(done || options, Object.assign(refusal, { code: 'ENOTFOUND' }));
};
