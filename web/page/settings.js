// The server, its bucket and folder, and the user's choices. The browser stores these settings, but
// no secrets.

import * as kept from './kept.js';
import { sentence } from './sentences.js';
import { askScope, probe } from './ways.js';

const NAME = 'oss-upload-page';
const DEFAULTS = { way: 'signed-url', resumable: true, naming: 'own' };

/** The kept settings, or the defaults. */
export function read() {
  try {
    return { ...DEFAULTS, ...JSON.parse(kept.get(NAME)) };
  } catch {
    return { ...DEFAULTS };
  }
}

/** Change settings, and keep them for the next visit. */
export function keep(at, change) {
  Object.assign(at.settings, change);
  const { way, resumable, naming, language, user, server } = at.settings;
  kept.set(NAME, JSON.stringify({ way, resumable, naming, language, user, server }));
}

/** The server's URL without its query, which may hold a login. Throws TypeError. */
function address(text) {
  const url = new URL(text, document.baseURI);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError('http or https');
  url.username = url.password = url.search = url.hash = '';
  return url.href;
}

/** Put the card of the settings into the page, and then ask the server which ways to upload are open. */
export function mount(root, at) {
  const input = root.querySelector('#server');
  const fault = root.querySelector('#server-fault');
  const use = (text) => {
    try {
      at.settings.appServer = address(text);
    } catch {
      say(at.t('settings.noUrl'));
      return input.focus();
    }
    input.value = at.settings.appServer;
    at.change();
  };
  const say = (text) => {
    fault.textContent = text;
    fault.hidden = !text;
  };
  root.querySelector('#server-form').addEventListener('submit', (event) => {
    event.preventDefault();
    use(input.value.trim());
    keep(at, { server: at.config.appServer ? undefined : at.settings.appServer });
  });
  at.on('changed', async () => {
    say('');
    root.querySelector('#scope').hidden = true;
    const client = at.client();
    const { ways, needsLogin, fault } = await probe(at.untagged());
    if (client !== at.client()) return;
    at.ways = ways;
    at.session.say(needsLogin);
    if (fault) return say(spoken(at, fault));
    at.emit('ways');
    return needsLogin || showScope(root, at, client);
  });
  at.on('online', () => {
    // A page that was opened without a network could not ask the server, so it asks now.
    if (at.settings.appServer && !at.session.needed && !Object.keys(at.ways).length) at.change();
  });
  const server = at.config.appServer || at.settings.server;
  if (server) use(server);
  else say(at.t('settings.which'));
}

const spoken = (at, error) => {
  const { text, todo } = sentence(at, error);
  return `${text} ${todo}`;
};

async function showScope(root, at, client) {
  const facts = root.querySelector('#scope');
  facts.hidden = true;
  const answer = await askScope(client, at.ways)
    .catch(({ code, status, message }) => at.emit('refused', { where: 'function', code, status, message }));
  if (!answer?.Scope || client !== at.client()) return;
  at.scope = answer.Scope;
  if (answer.LastUpdated) at.emit('token', answer);
  const { Bucket, Region, Prefix, Policy } = answer.Scope;
  const rows = { bucket: Bucket, region: Region, prefix: Prefix, policy: Policy };
  facts.replaceChildren(...Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => {
    const [term, fact] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = at.t(`settings.${name}`);
    fact.textContent = value;
    return [term, fact];
  }));
  facts.hidden = false;
}
