// Finds hidden faults of a page that seems to work: messages of the console, violations of the
// Content-Security-Policy, and what axe-core finds in both themes.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Record all errors and warnings of a page from now on. Call this before the page loads. */
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

/** All recorded faults, and what axe-core finds now in both themes. `within` is a selector. */
export async function faultsOf(page, noted, within = 'html') {
  const found = [...noted];
  // Run the code with evaluate(), because the page's policy refuses a script element.
  await page.evaluate(await readFile(AXE, 'utf8'));
  for (const colorScheme of ['light', 'dark']) {
    // Switch animations off, because a colour that is still changing belongs to neither theme.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForFunction((theme) => matchMedia(`(prefers-color-scheme: ${theme})`).matches, colorScheme);
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    await page.waitForTimeout(300); // on a busy machine, the colours of :has() come later than the frame
    const { violations } = await page.evaluate((parts) => window.axe.run(parts), within);
    for (const { id, nodes: [{ html, any: [check] }] } of violations) {
      found.push(`${colorScheme}: ${id}: ${html} ${check?.message ?? ''}`);
    }
  }
  return found;
}
