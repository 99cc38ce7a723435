// Names below localhost, found inside of Node as browsers and curl find them (RFC 6761, 6.3): of the
// C library not every one knows them. No other name is changed.

import dns from 'node:dns';

const find = dns.lookup;
dns.lookup = (name, ...rest) => find(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);
