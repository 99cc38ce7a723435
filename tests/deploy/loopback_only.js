// The tests preload this file into the CLI. It refuses every DNS lookup, because the CLI would ask
// STS on the internet whether its keys are real.
'use strict';

const dns = require('dns');

dns.lookup = (name, options, done) => {
  const refusal = new Error(`${name} is not looked up from a test`);
  process.nextTick(done || options, Object.assign(refusal, { code: 'ENOTFOUND' }));
};
