// Interrupts an upload in parts of the page that `make run` serves. Reads {url, kind: one of BREAKS, user, way,
// files, isAskedFor, ...} as JSON on stdin (full_page.mjs has more members). Prints JSON with four results: the parts
// that OSS had stored `before` the interruption, the parts that it stored `after` it, the page's messages, and the
// page's faults.

import { json } from 'node:stream/consumers';

import { until, withTab } from './full_page.mjs';

const SPEED = 10; // MiB a second
const CORS = { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' };

const job = await json(process.stdin);

/**
 * Ways to interrupt an upload when OSS already has two parts of the file. Each function interrupts the upload, lets it
 * continue, and returns what the test saw before it continued.
 */
const BREAKS = {
  async pause(tab) {
    await tab.press('Pause');
    await tab.page.getByRole('button', { name: 'Resume', exact: true }).waitFor();
    // After the pause, only parts that are already being sent may arrive.
    await tab.page.waitForTimeout(500);
    const { length } = tab.parts();
    await tab.page.waitForTimeout(1500);
    const more = tab.parts().length - length;
    await tab.press('Resume');
    return { more };
  },

  async reload(tab) {
    await tab.page.reload();
    const before = tab.parts();
    await tab.ready();
    const note = await tab.page.locator('.uppy-Dashboard-serviceMsg').innerText();
    if (job.isAskedFor) await tab.choose(job.files);
    await tab.page.click('.uppy-StatusBar-actionBtn--upload');
    return { before, note };
  },

  async offline(tab) {
    await tab.page.context().setOffline(true);
    const notice = tab.page.locator('#offline');
    await notice.waitFor();
    const said = await notice.innerText();
    const before = tab.parts();
    await tab.page.context().setOffline(false);
    await notice.waitFor({ state: 'hidden' });
    return { before, said };
  },

  /** OSS refuses the token until the page has requested a new one. */
  async token(tab) {
    const begun = asked(tab, '/').length;
    let refused = 0;
    await tab.page.route(/x-oss-security-token=/, (route) => {
      if (asked(tab, '/').length > begun) return route.fallback();
      refused += 1;
      const body = '<Error><Code>SecurityTokenExpired</Code><Message>The security token has expired.</Message></Error>';
      return route.fulfill({ status: 403, headers: { ...CORS, 'content-type': 'application/xml' }, body });
    });
    await until(() => asked(tab, '/').length > begun);
    return { refused };
  },

  /** The function refuses the login until the page has signed in again. */
  async login(tab) {
    const begun = asked(tab, '/sandbox/login').length;
    let refused = 0;
    await tab.page.route(/multipart$/, (route) => {
      if (asked(tab, '/sandbox/login').length > begun) return route.fallback();
      refused += 1;
      return route.fulfill({ headers: CORS, json: { StatusCode: 401, ErrorCode: 'ExpiredToken', ErrorMessage: 'x' } });
    });
    await until(() => asked(tab, '/sandbox/login').length > begun);
    return { refused };
  },

  /** Three requests do not reach the function: Function Compute answers them, in its own format. */
  async platform(tab) {
    let refused = 0;
    await tab.page.route(/multipart$/, (route) => {
      if (refused === 3) return route.fallback();
      refused += 1;
      return route.fulfill({ status: 429, headers: CORS, contentType: 'application/json',
        body: '{"RequestId":"1-2","Code":"ResourceThrottled","Message":"Reserve resource exceeded limit"}' });
    });
    await until(() => refused === 3);
    return { refused };
  },
};

const asked = (tab, wanted) => tab.requests().filter(({ path }) => path === wanted);

const outcome = await withTab(job, async (tab, url) => {
  const { page } = tab;
  await tab.goto(url);
  if (job.user) await tab.signIn(job.user);
  await tab.way(job.way);
  await tab.slow(SPEED);
  await tab.send(job.files);
  await tab.partsTaken(2);
  const found = await BREAKS[job.kind](tab);
  await tab.slow(0);
  await tab.done();
  found.before ??= [];
  found.after = tab.parts().slice(found.before.length);
  found.uploads = await tab.uploads();
  found.refusal = await page.locator('#refusal').innerText();
  return found;
});
console.log(JSON.stringify(outcome));
