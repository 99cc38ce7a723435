// Lets Node resolve names below localhost, as browsers and curl do (RFC 6761, 6.3). Some C libraries
// cannot resolve these names. This changes no other name.

import dns from 'node:dns';

const find = dns.lookup;
dns.lookup = (name, ...rest) => find(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);
