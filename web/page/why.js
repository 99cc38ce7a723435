// Shows each refusal as a sentence, and says what to do. With the sandbox, it also lists the requests of this page,
// and says which policy refused a request.

import { shown } from '../small/names.js';
import { made } from './elements.js';
import { sentence } from './sentences.js';

const SESSION = 'X-Sandbox-Session';
const WAIT_MS = 400; // the pause between a request and the question to the sandbox, so that one answer covers several
const LINES = 40;
const WHOSE = ['SessionPolicy', 'AccountLevelIdentityBasedPolicy', 'ACL'];

/** Mount the panel into `root`, and the sentences into #refusal. */
export function mount(root, at) {
  sayRefusals(document.getElementById('refusal'), at);
  if (!at.config.refusals) return;
  const list = made('ol', { id: 'why-list', tabIndex: 0, 'aria-labelledby': 'why-title' });
  const none = made('p', { class: 'hint' }, at.t('why.none'));
  const panel = made('section', { id: 'why', class: 'card', 'aria-labelledby': 'why-title' },
    made('h2', { id: 'why-title' }, at.t('why.title')), made('p', { class: 'hint' }, at.t('why.hint')), none, list);
  root.append(panel);

  const show = async () => {
    const requests = await told(at);
    // The sandbox shows requests only to a browser that runs on the same machine as the sandbox.
    panel.hidden = !requests;
    const lines = (requests ?? []).slice(-LINES).reverse();
    none.hidden = lines.length > 0;
    list.hidden = !lines.length;
    list.replaceChildren(...lines.map((request) => lineOf(at, request)));
  };
  let timer;
  for (const event of ['request', 'refused', 'uploaded', 'changed']) {
    at.on(event, () => {
      clearTimeout(timer);
      timer = setTimeout(show, WAIT_MS);
    });
  }
  show();
}

/** The requests of this page that the sandbox kept, the newest last; undefined if the sandbox does not answer. */
async function told(at) {
  const url = new URL(at.config.refusals, document.baseURI);
  url.searchParams.set('session', at.headers[SESSION]);
  try {
    const response = await fetch(url, { cache: 'no-store' });
    return response.ok ? (await response.json()).Requests : undefined;
  } catch {
    return undefined;
  }
}

function lineOf(at, { Time, Server, Method, Path, Status, Code, Refusal }) {
  const when = new Date(Time).toLocaleTimeString(at.language);
  const line = made('li', { class: Status >= 400 ? 'refused' : undefined },
    made('span', { class: 'hint' }, `${when} ${Server} `),
    made('code', {}, made('bdi', {}, `${Method} ${shown(Path)}`)), ` ${[Status, Code].filter(Boolean).join(' ')}`);
  if (Refusal) line.append(made('p', {}, reasonOf(at, Refusal)));
  return line;
}

/** Which policy refused which action on which resource. */
function reasonOf(at, { Action, Resource, PolicyType, Policy, Reason }) {
  const words = { action: Action, resource: shown(Resource), policy: Policy };
  // In English, `Policy` is the sandbox's own text, which names the policy.
  const whose = WHOSE.includes(PolicyType) ? at.t(`why.${PolicyType}`, words) : Policy;
  return at.t(Reason === 'ExplicitDeny' ? 'why.denied' : 'why.notAllowed', { ...words, whose });
}

function sayRefusals(place, at) {
  const clear = () => place.replaceChildren();
  at.on('refused', ({ code, message, status, name }) => {
    const { text, todo, page } = sentence(at, { code, message, status });
    place.replaceChildren(made('p', { class: 'fault' },
      ...(name ? [made('bdi', {}, shown(name)), ': '] : []), text), made('p', {}, todo),
      ...(page ? [made('p', { class: 'hint' }, at.t('error.more'), made('code', {}, page))] : []));
  });
  at.on('ran', clear);
  at.on('changed', clear);
}
