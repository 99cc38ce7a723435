// The signed-in user. The login is only in the memory of this module.

import { sentence } from './sentences.js';
import * as settings from './settings.js';
import { tryFolderOf } from './ways.js';

const EARLY_MS = 60_000;

/**
 * Make `at.session`. Its `user` is the signed-in user. Its `logins()` returns a function that gives a client this
 * user's login. A login belongs to one user and one server, and is never sent to another server. A client of the
 * previous user never gets the next user's login.
 */
export function makeSession(at) {
  // The current user: {server, login, user, until, given}. `until` is a time by this device's
  // clock. `given` is a function that passes the new login to the client that waits for it.
  let held = filled({}, '', '');
  const begin = (login, user) => {
    held.given?.('');
    held = filled({ server: at.settings.appServer }, login, user);
    return held;
  };
  const current = () => (held.server === at.settings.appServer ? held : begin('', ''));
  const session = {
    get user() {
      return current().user;
    },
    needed: false,
    get until() {
      const { login, until } = current();
      return login ? until : undefined;
    },
    /**
     * Returns the function that gives a client the current user's login, or '' if nobody is signed in. An expired
     * or refused login is renewed. The client may have to wait until the user signs in again.
     */
    logins() {
      const mine = current();
      // With a function, the client would send a refused request twice.
      if (!mine.login) return '';
      return (isRefused = false) => {
        const isLasting = !isRefused && Date.now() < mine.until - EARLY_MS;
        if (isLasting || mine !== current()) return mine.login;
        return mine.renewing ??= renew(mine).finally(() => { mine.renewing = undefined; });
      };
    },
    async signIn(user) {
      const server = at.settings.appServer;
      const login = await fetchLogin(server, user);
      if (server !== at.settings.appServer) return;
      begin(login, user);
      at.change();
    },
    give(text) {
      const { given, user } = current();
      if (given && user && userOf(text) === user) {
        filled(held, text, user).given = undefined;
        return given(text);
      }
      // The new login may belong to another user. In this case, uploads of the previous user that wait for a
      // login must not get the new login.
      begin(text, userOf(text));
      return at.change();
    },
    signOut() {
      begin('', '');
      at.change();
    },
    /** Shows whether a login is needed. The view replaces this function. */
    say() {},
  };
  at.session = session;

  const renew = async (mine) => {
    if (at.signIn) return filled(mine, await fetchLogin(mine.server, mine.user), mine.user).login;
    session.say(true);
    return new Promise((resolve) => { mine.given = resolve; });
  };

  const fetchLogin = async (server, user) => {
    const url = new URL(at.signIn, server);
    url.searchParams.set('user', user);
    const response = await fetch(url, { cache: 'no-store' });
    const { access_token, ErrorCode, ErrorMessage } = await response.json();
    if (access_token) return access_token;
    throw Object.assign(new Error(ErrorMessage), { code: ErrorCode, status: response.status });
  };
  return session;
}

/** A user with this login. The time when it expires is converted from the server's clock to this device's clock. */
function filled(person, login, user) {
  const { exp, iat } = claimsOf(login);
  const until = exp ? Date.now() + (exp - (iat ?? Date.now() / 1000)) * 1000 : Infinity;
  return Object.assign(person, { login, user, until });
}

/** The claims of a JWT; {} if the text is not a JWT. Only the server checks the claims. */
function claimsOf(text) {
  try {
    const bytes = atob(text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (letter) => letter.charCodeAt(0))));
  } catch {
    return {};
  }
}

const userOf = (text) => `${claimsOf(text).sub ?? ''}`;

/** Mount the card: sign in, sign out, "try bob's folder", and the remaining life of login and token. */
export function mount(root, at) {
  const part = (id) => root.querySelector(id);
  const [signIn, give, signedIn] = ['#sign-in', '#give-login', '#signed-in'].map(part);
  const { session } = at;
  const other = () => (session.user === 'bob' ? 'alice' : 'bob');

  session.say = (needed) => {
    session.needed = needed;
    root.hidden = !needed && !session.user;
    signedIn.hidden = needed || !session.user;
    signIn.hidden = !needed || !at.signIn;
    give.hidden = !needed || Boolean(at.signIn);
    part('#who').textContent = session.user;
    part('#session-note').textContent = at.t(!needed ? 'session.in' : at.signIn ? 'session.note'
      : 'session.give');
  };

  signIn.addEventListener('submit', async (event) => {
    event.preventDefault();
    await enter(part('#user').value.trim());
  });
  const enter = async (user) => {
    try {
      await session.signIn(user);
      settings.keep(at, { user });
    } catch (error) {
      const { text, todo } = sentence(at, { code: 'Network', ...error, message: error.message });
      part('#session-note').textContent = `${text} ${todo}`;
    }
  };
  give.addEventListener('submit', (event) => {
    event.preventDefault();
    const field = part('#login');
    session.give(field.value.trim());
    field.value = '';
    session.say(false);
  });
  part('#sign-out').addEventListener('click', () => {
    settings.keep(at, { user: undefined });
    session.signOut();
  });
  part('#try-bob').addEventListener('click', async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    await tryFolderOf(at, other());
    button.disabled = false;
  });
  at.on('ways', () => {
    part('#try-bob').hidden = at.ways.token !== 'open';
    part('#try-bob').textContent = at.t('session.try', { user: other() });
    // The page may keep the name, because a name is not secret. The demo sign-in needs only a name.
    if (session.needed && at.signIn && at.settings.user && !part('#user').value) {
      part('#user').value = at.settings.user;
      enter(at.settings.user);
    }
  });
  showTimeLeft(at);
}

function showTimeLeft(at) {
  const place = document.getElementById('time-left');
  let known; // the last token's Expiration, by the server's clock
  let token; // the last token's Expiration, by this device's clock
  at.on('changed', () => { known = token = undefined; });
  at.on('token', ({ Expiration, LastUpdated }) => {
    if (Expiration === known) return;
    known = Expiration;
    token = Date.now() + Date.parse(Expiration) - Date.parse(LastUpdated);
    show();
  });
  const show = () => {
    const lines = [['login', at.session.until], ['token', token]]
      .filter(([, until]) => Number.isFinite(until))
      .map(([what, until]) => at.t(`left.${what}`, { time: span(at, until - Date.now()) }));
    place.textContent = lines.join(' · ');
    place.hidden = !lines.length;
  };
  at.on('ways', show);
  setInterval(show, 5000);
}

/** A text like "12 min" or "40 s", or the text for a time that is over. */
function span(at, milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds <= 0) return at.t('left.ended');
  if (seconds < 60) return at.t('left.seconds', { n: seconds });
  const n = Math.floor(seconds / 60);
  return n < 120 ? at.t('left.minutes', { n }) : at.t('left.hours', { n: Math.floor(n / 60) });
}
