// Who is signed in. The login lives in this module's memory and nowhere else.

import { sentence } from './sentences.js';
import * as settings from './settings.js';
import { tryFolderOf } from './ways.js';

const EARLY_MS = 60_000;

/** Make `at.session`: `user`, and `login()` for the client. */
export function makeSession(at) {
  let login = '';
  let until = Infinity; // by this device's clock
  let renewing;
  let given; // resolves what waits for a login that only the person has
  const session = {
    user: '',
    needed: false,
    get until() {
      return login ? until : undefined;
    },
    /** The login, '' for nobody; renewed when it has ended or is refused, which may wait for the person. */
    login(isRefused = false) {
      if (!login || (!isRefused && Date.now() < until - EARLY_MS)) return login;
      return renewing ??= renew().finally(() => { renewing = undefined; });
    },
    async signIn(user) {
      take(await fetchLogin(user), user);
      at.change();
    },
    give(text) {
      const waiting = given;
      take(text, userOf(text));
      given = undefined;
      if (waiting) waiting(text);
      else at.change();
    },
    signOut() {
      take('', '');
      at.change();
    },
    /** Set by the view: whether a login is needed. */
    say() {},
  };
  at.session = session;

  const take = (text, user) => {
    const { exp, iat } = claimsOf(text);
    login = text;
    // Its life by the server's clock, from now on by this one.
    until = exp ? Date.now() + (exp - (iat ?? Date.now() / 1000)) * 1000 : Infinity;
    session.user = user;
  };

  const renew = async () => {
    if (at.config.signIn) {
      take(await fetchLogin(session.user), session.user);
      return login;
    }
    session.say(true);
    return new Promise((resolve) => { given = resolve; });
  };

  const fetchLogin = async (user) => {
    const url = new URL(at.config.signIn, at.settings.appServer);
    url.searchParams.set('user', user);
    const response = await fetch(url, { cache: 'no-store' });
    const { access_token, ErrorCode, ErrorMessage } = await response.json();
    if (access_token) return access_token;
    throw Object.assign(new Error(ErrorMessage), { code: ErrorCode, status: response.status });
  };
  return session;
}

/** The claims of a JWT as they stand: it is the server that verifies. {} for what is none. */
function claimsOf(text) {
  try {
    const bytes = atob(text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (letter) => letter.charCodeAt(0))));
  } catch {
    return {};
  }
}

const userOf = (text) => `${claimsOf(text).sub ?? ''}`;

/** Mount the card: sign in, sign out, "try bob's folder", and how long login and token last. */
export function mount(root, at) {
  const part = (id) => root.querySelector(id);
  const [signIn, give, signedIn] = ['#sign-in', '#give-login', '#signed-in'].map(part);
  const { session } = at;
  const other = () => (session.user === 'bob' ? 'alice' : 'bob');

  session.say = (needed) => {
    session.needed = needed;
    root.hidden = !needed && !session.user;
    signedIn.hidden = needed || !session.user;
    signIn.hidden = !needed || !at.config.signIn;
    give.hidden = !needed || Boolean(at.config.signIn);
    part('#who').textContent = session.user;
    part('#session-note').textContent = at.t(!needed ? 'session.in' : at.config.signIn ? 'session.note'
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
    // A name is no secret, and the demo sign-in asks for nothing else.
    if (session.needed && at.config.signIn && at.settings.user && !part('#user').value) {
      part('#user').value = at.settings.user;
      enter(at.settings.user);
    }
  });
  showTimeLeft(at);
}

function showTimeLeft(at) {
  const place = document.getElementById('time-left');
  let known; // the last token's Expiration, by the server's clock
  let token; // the same by this device's
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

/** 12 min, 40 s, or that it has ended. */
function span(at, milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds <= 0) return at.t('left.ended');
  if (seconds < 60) return at.t('left.seconds', { n: seconds });
  const n = Math.floor(seconds / 60);
  return n < 120 ? at.t('left.minutes', { n }) : at.t('left.hours', { n: Math.floor(n / 60) });
}
