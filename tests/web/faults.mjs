// Hidden faults of a page that seems to work: messages of the console, what the Content-Security-Policy
// stopped, and what axe-core finds in both themes.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Note errors and warnings of a page from now on: call it before anything is loaded. */
export async function watch(page) {
  const found = [];
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) found.push(message.text());
  });
  page.on('pageerror', (error) => found.push(String(error)));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
      console.error(`policy: ${effectiveDirective} ${blockedURI}`));
  });
  return found;
}

/** What was noted, and what axe-core finds as the page is now, light and dark; `within` is a selector. */
export async function faultsOf(page, noted, within = 'html') {
  const found = [...noted];
  // Not a script in the document, which the page's policy would refuse.
  await page.evaluate(await readFile(AXE, 'utf8'));
  for (const colorScheme of ['light', 'dark']) {
    // Without motion: a colour on its way from one theme to the other is of neither.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForFunction((theme) => matchMedia(`(prefers-color-scheme: ${theme})`).matches, colorScheme);
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    await page.waitForTimeout(300); // on a busy machine what :has() colours comes later than the frame
    const { violations } = await page.evaluate((parts) => window.axe.run(parts), within);
    for (const { id, nodes: [{ html, any: [check] }] } of violations) {
      found.push(`${colorScheme}: ${id}: ${html} ${check?.message ?? ''}`);
    }
  }
  return found;
}
