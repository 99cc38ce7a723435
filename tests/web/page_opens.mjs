// Opens the page that `make run` serves. If a user is given, the user signs in, reloads the page, and signs out. Reads
// {url, user, ...} as JSON on stdin (full_page.mjs has more members). Prints as JSON the page's faults, and `asked`:
// after each of these steps, the paths of the requests to the function with the StatusCode of the answer.

import { json } from 'node:stream/consumers';

import { withTab } from './full_page.mjs';

const job = await json(process.stdin);

const outcome = await withTab(job, async (tab, url) => {
  const { page } = tab;
  const asked = {};
  let answers = [];
  page.on('response', (response) => {
    const { origin, pathname } = new URL(response.url());
    if (origin !== new URL(url).origin || /^\/(app|sandbox)\//.test(pathname)) return;
    answers.push(response.json().then(({ StatusCode }) => `${pathname} ${StatusCode}`));
  });
  const note = async (step) => {
    await page.waitForTimeout(1000); // until no more requests are sent
    asked[step] = (await Promise.all(answers)).sort();
    answers = [];
  };
  await tab.goto(url);
  await note('opened');
  if (job.user) {
    await tab.signIn(job.user);
    await note('signed in');
    await page.reload();
    await tab.ready();
    await note('reloaded');
    await page.click('#sign-out');
    await page.waitForSelector('#sign-in:not([hidden])');
    await note('signed out');
  }
  return { asked };
});
console.log(JSON.stringify(outcome));
