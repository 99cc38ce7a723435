// Runs the page's session without a browser, to check that each client gets the login of its own user. Reads the
// logins {alice, bob, lateAlice} as JSON on stdin. `lateAlice` expires soon. Prints what each client got.

import { json } from 'node:stream/consumers';

import { makeSession } from '../../web/page/session.js';

const job = await json(process.stdin);

function page() {
  const at = { config: { signIn: '' }, settings: { appServer: 'https://one.example/' }, changes: 0 };
  at.change = () => { at.changes += 1; };
  at.session = makeSession(at);
  return at;
}

const moved = page();
moved.session.give(job.alice);
const ofAlice = moved.session.logins();
moved.settings.appServer = 'https://two.example/';
const elsewhere = { user: moved.session.user, login: moved.session.logins() };
moved.session.give(job.bob);
const before = await ofAlice(true);
moved.settings.appServer = 'https://one.example/';
const back = moved.session.logins();

/** A client of alice waits for a new login, and then somebody enters `login`. */
async function given(login) {
  const at = page();
  at.session.give(job.lateAlice);
  const waiting = at.session.logins()();
  at.session.give(login);
  return { waiting: await waiting, user: at.session.user, changes: at.changes };
}

console.log(JSON.stringify({ elsewhere, before, back, own: await given(job.alice), others: await given(job.bob) }));
