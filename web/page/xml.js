// Reads OSS's answers, which are XML.

/** The text of the first element with this name in OSS's XML; undefined if there is none. */
export const elementOf = (xml, name) => xml.match(`<${name}>([^<]*)</${name}>`)?.[1];
