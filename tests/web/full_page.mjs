// Opens in Chromium the page that `make run` serves, and records all its faults: errors on the console,
// violations of the security policy, what axe-core finds, and secrets that can be seen.

import { createServer, request as ask } from 'node:http';

import { chromium, devices } from 'playwright-core';

import { faultsOf, watch } from './faults.mjs';

const MIB = 1024 * 1024;
/** Secret members of the function's answers, by name. */
const SECRET = ['AccessKeySecret', 'SecurityToken', 'access_token', 'Signature', 'x-oss-signature', 'policy',
  'x-oss-security-token'];

/**
 * Open `job.url` and call `use` with a Tab. The job has `chromium` (the browser's path), `device`, `locale`, `dark`
 * and `host`. If `host` is given, the page has this host name, so it is not in a secure context.
 * @returns the result of `use`, with `faults`, `secrets` (how many secrets the function's answers had), `open` (the
 * places where a secret can be seen) and `dialogs` (how many dialogs of the browser opened)
 */
export async function withTab(job, use) {
  const proxy = job.host && await forward(new URL(job.url));
  const browser = await chromium.launch({
    executablePath: job.chromium,
    headless: true,
    args: ['--no-sandbox', ...job.host ? [`--host-resolver-rules=MAP ${job.host} 127.0.0.1`] : []],
  });
  try {
    const { defaultBrowserType, ...device } = devices[job.device] ?? job.desk ?? {};
    const context = await browser.newContext({
      ...device, locale: job.locale ?? 'en-GB', colorScheme: job.dark ? 'dark' : 'light',
    });
    const page = await context.newPage();
    const tab = new Tab(page, await watch(page));
    await tab.note();
    const url = new URL(job.url);
    if (proxy) [url.hostname, url.port] = [job.host, proxy.address().port];
    const outcome = await use(tab, url.href);
    await tab.look();
    outcome.faults = await faultsOf(page, tab.noted);
    await tab.look();
    return { ...outcome, secrets: tab.secrets.size, open: [...tab.open], dialogs: tab.dialogs };
  } finally {
    await browser.close();
    proxy?.close();
  }
}

/** One tab with the page. */
export class Tab {
  constructor(page, noted) {
    Object.assign(this, { page, noted, secrets: new Set(), open: new Set(), sent: [], dialogs: 0 });
  }

  /** Record each request, and each secret in an answer of the function. */
  async note() {
    const { page, secrets, sent } = this;
    page.on('dialog', (dialog) => {
      this.dialogs += 1;
      dialog.dismiss();
    });
    page.on('response', async (response) => {
      const request = response.request();
      const url = new URL(response.url());
      const part = Number(url.searchParams.get('partNumber')) || undefined;
      sent.push({ method: request.method(), path: decodeURIComponent(url.pathname), part,
        status: response.status() });
      for (const secret of secrets) {
        // A signed URL may contain a token and a signature, but no URL may contain a login or a key.
        if (/^eyJ[^.]+\.eyJ|^[\w-]{43}$/.test(secret) && response.url().includes(secret)) this.open.add('in a URL');
      }
      const text = await response.text().catch(() => '');
      if (text.startsWith('{')) collect(text, secrets);
    });
  }

  /** Look for secrets in all places where they must not be. */
  async look() {
    const texts = await this.page.evaluate(shown);
    for (const secret of this.secrets) {
      for (const [where, text] of Object.entries(texts)) if (text.includes(secret)) this.open.add(where);
    }
  }

  /** Open the page, and wait until it is shown and all its requests have been answered. */
  async goto(url) {
    await this.page.goto(url);
    await this.ready();
  }

  async ready() {
    await this.page.waitForSelector('#page:not([hidden])');
    await this.page.waitForSelector('#way-note:not(:empty)');
    await this.page.waitForLoadState('networkidle');
    this.opened = this.sent.length;
  }

  async signIn(user) {
    await this.page.fill('#user', user);
    await this.page.click('#sign-in button');
    await this.page.waitForSelector('#signed-in:not([hidden])');
    await this.page.waitForLoadState('networkidle');
  }

  async way(way) {
    await this.page.check(`#way [value=${way}]`, { force: true });
  }

  /** Choose files ({path}, or {name, type, text}), and begin the upload. */
  async send(files) {
    await this.choose(files);
    await this.page.click('.uppy-StatusBar-actionBtn--upload');
  }

  async choose(files) {
    await this.page.setInputFiles('#file-input', files.map(({ path, name, type, text }) =>
      path ?? { name, mimeType: type, buffer: Buffer.from(text) }));
    await this.page.waitForSelector('.uppy-StatusBar-actionBtn--upload');
  }

  /** Wait until all chosen files are stored. */
  async done() {
    const bar = this.page.locator('.uppy-StatusBar');
    await this.page.waitForSelector('.uppy-StatusBar:is(.is-complete, .is-error)', { timeout: 90_000 });
    if (/is-error/.test(await bar.getAttribute('class'))) {
      throw new Error(`refused: ${await this.page.locator('#refusal').innerText()}`);
    }
  }

  /** The objects in the list: their names, and the sizes of their pictures in pixels. */
  async uploads(pictures = 0) {
    await this.page.locator('#uploads').scrollIntoViewIfNeeded();
    await this.page.waitForFunction((least) => [...document.querySelectorAll('#uploads img')]
      .filter((one) => one.complete && one.naturalWidth).length >= least, pictures);
    return this.page.evaluate(() => [...document.querySelectorAll('#uploads > li')].map((item) => ({
      name: item.querySelector('.name').textContent,
      picture: [...item.querySelectorAll('img')].map((one) => [one.naturalWidth, one.naturalHeight])[0],
    })));
  }

  /** The requests to the function and OSS that the page sent after it knew its server. */
  requests() {
    return this.sent.slice(this.opened).filter(({ path }) => path.startsWith('/') && !path.startsWith('/app/'));
  }

  /** The numbers of the parts that OSS has stored, in order. */
  parts() {
    return this.sent.filter(({ method, part, status }) => method === 'PUT' && part && status === 200)
      .map(({ part }) => part);
  }

  /** Wait until OSS has stored `number` parts. */
  async partsTaken(number) {
    await until(() => this.parts().length >= number);
  }

  /** Press the button of Uppy that has this name. */
  async press(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  /** Limit the upload to `speed` MiB a second; 0 removes the limit. */
  async slow(speed) {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0,
      downloadThroughput: -1, uploadThroughput: speed ? speed * MIB : -1 });
  }
}

/** Wait until `holds()` returns true. */
export async function until(holds, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`it took too long: ${holds}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

function collect(text, secrets) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return;
  }
  const walk = (value) => {
    for (const [name, inner] of Object.entries(value ?? {})) {
      if (typeof inner === 'object') walk(inner);
      else if (SECRET.includes(name)) secrets.add(`${inner}`);
      else if (name === 'Url') {
        for (const [part, signed] of new URL(inner).searchParams) if (SECRET.includes(part)) secrets.add(signed);
      }
    }
  };
  walk(answer);
}

/** Runs in the page: returns all text in which somebody could find a secret. */
async function shown() {
  const stores = [];
  for (const { name } of await indexedDB.databases()) {
    const db = await new Promise((done, failed) => {
      const opening = indexedDB.open(name);
      opening.onsuccess = () => done(opening.result);
      opening.onerror = failed;
    });
    for (const store of db.objectStoreNames) {
      const all = await new Promise((done, failed) => {
        const asking = db.transaction(store).objectStore(store).getAll();
        asking.onsuccess = () => done(asking.result);
        asking.onerror = failed;
      });
      stores.push(JSON.stringify(all));
    }
    db.close();
  }
  return {
    document: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll('input, textarea')].map(({ value }) => value).join('\n'),
    panel: document.getElementById('why')?.textContent ?? '',
    storage: JSON.stringify({ ...localStorage, ...sessionStorage }),
    database: stores.join('\n'),
    address: location.href,
    cookies: document.cookie,
  };
}

/** A proxy for the server of `url`. It sends every request with the host name of `url`. */
async function forward({ hostname, port }) {
  const server = createServer((request, response) => {
    const headers = { ...request.headers, host: `${hostname}:${port}` };
    const onward = ask({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return server;
}
