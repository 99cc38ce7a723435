// Builds the page from web/page into dist/web: `node web/build.mjs [folder]`. It prints the size of the first
// load. It fails if the size is above a limit, or if two files of texts have the same key.

import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const WEB = import.meta.dirname;
const PAGE = path.join(WEB, 'page');
const LANGUAGES = ['en', 'zh'];
/** Maximum bytes of the first load in one language, compressed (gzip). */
const LIMITS = { script: 100 * 1024, style: 20 * 1024 };
/** The config.json for static hosting; the operator writes the function's URL into it. */
const CONFIG = { appServer: '', signIn: '', refusals: '', fullPage: true };

const folder = path.resolve(process.argv[2] ?? path.join(WEB, '..', 'dist', 'web'));
const fresh = `${folder}.new`;
await rm(fresh, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { main: path.join(PAGE, 'main.js'), style: path.join(PAGE, 'style.css') },
  outdir: fresh,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['es2022', 'safari15.4'],
  minify: true,
  charset: 'utf8',
  metafile: true,
  legalComments: 'linked',
  logLevel: 'warning',
  chunkNames: '[name]-[hash]',
  loader: { '.svg': 'dataurl' },
  plugins: [{ name: 'page', setup: page }],
});
await Promise.all([
  cp(path.join(PAGE, 'index.html'), path.join(fresh, 'index.html')),
  // The client is for users who copy the code that the page shows.
  cp(path.join(WEB, 'client'), path.join(fresh, 'client'), { recursive: true }),
  writeFile(path.join(fresh, 'config.json'), `${JSON.stringify(CONFIG, null, 2)}\n`),
  writeFile(path.join(fresh, 'licenses.txt'), await licenses(metafile)),
]);
const sizes = await weigh(metafile);
for (const { name, bytes, limit } of sizes) {
  const most = limit ? ` (at most ${limit / 1024} KB)` : '';
  console.log(`${(bytes / 1024).toFixed(1).padStart(6)} KB  ${name}${most}`);
}
const heavy = sizes.filter(({ bytes, limit }) => limit && bytes > limit);
if (heavy.length) {
  console.error(`Too large after compression: ${heavy.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}
// Replace the folder in one step, so that a server never serves half of it.
await mkdir(path.dirname(folder), { recursive: true });
await rm(folder, { recursive: true, force: true });
await rename(fresh, folder);
console.log(`Built ${path.relative(process.cwd(), folder)}`);

function page({ onResolve, onLoad, resolve }) {
  onResolve({ filter: /^texts:/ }, ({ path }) => ({ path: path.slice(6), namespace: 'texts' }));
  onLoad({ filter: /.*/, namespace: 'texts' }, async ({ path: language }) => ({
    contents: await textsOf(language),
    resolveDir: PAGE,
    watchFiles: await textFiles(language),
  }));
  // Uppy reads the rotation of a picture with exifr. Every supported browser rotates pictures by itself, so
  // exifr is not part of the first load. The page loads exifr when the user chooses the first picture.
  onResolve({ filter: /^exifr\/dist\/mini/ }, ({ kind }) =>
    kind === 'dynamic-import' ? undefined : { path: path.join(PAGE, 'rotation.js') });
  // The Dashboard uses only one icon of these modules. The modules are marked as free of side effects, because
  // otherwise static members of their classes keep the whole modules in the bundle.
  onResolve({ filter: /provider-views|^\.\.?\// }, async ({ path: asked, pluginData, ...from }) => {
    if (pluginData || !(asked + from.importer).includes('provider-views')) return undefined;
    const found = await resolve(asked, { ...from, pluginData: 'asked' });
    return { ...found, sideEffects: false };
  });
}

/** Make a module with all texts of one language: the texts of page/texts, of docs/errors.json and of Uppy. */
async function textsOf(language) {
  const texts = {};
  for (const file of await textFiles(language)) {
    for (const [key, text] of Object.entries(JSON.parse(await readFile(file, 'utf8')))) {
      if (key in texts) throw new Error(`${file}: ${key} is in another file too`);
      texts[key] = text;
    }
  }
  const errors = {};
  for (const [code, entry] of Object.entries(await errorTexts())) {
    const { what, do: todo } = entry[language];
    errors[code] = { who: entry.who, what, do: todo };
  }
  const uppy = language === 'en' ? 'export const uppy = undefined;'
    : "export { default as uppy } from '@uppy/locales/lib/zh_CN.js';";
  return `export const texts = ${JSON.stringify(texts)};
    export const errors = ${JSON.stringify(errors)};
    ${uppy}`;
}

async function textFiles(language) {
  const names = await readdir(path.join(PAGE, 'texts'));
  return names.filter((name) => name.endsWith(`.${language}.json`)).sort()
    .map((name) => path.join(PAGE, 'texts', name));
}

async function errorTexts() {
  return JSON.parse(await readFile(path.join(WEB, '..', 'docs', 'errors.json'), 'utf8'));
}

/** The compressed bytes of the first load, and of the parts that are loaded later. */
async function weigh({ outputs }) {
  const size = async (file) => gzipSync(await readFile(file), { level: 9 }).length;
  const named = Object.entries(outputs).filter(([file]) => /\.(js|css)$/.test(file));
  const entry = named.find(([file]) => file.endsWith('/main.js'))[0];
  const eager = closure(outputs, entry);
  const chunks = {};
  for (const [file, { entryPoint = '' }] of named) {
    if (file.endsWith('.js') && !eager.has(file) && entryPoint) chunks[entryPoint] = file;
  }
  const texts = LANGUAGES.map((language) => chunks[`texts:${language}`]);
  const sum = async (files) => (await Promise.all([...files].map(size))).reduce((a, b) => a + b, 0);
  const styles = named.map(([file]) => file).filter((file) => file.endsWith('.css'));
  const first = await Promise.all(texts.map((file) => sum(new Set([...eager, ...closure(outputs, file)]))));
  const later = Object.entries(chunks).filter(([name]) => !name.startsWith('texts:'));
  return [
    ...LANGUAGES.map((language, at) =>
      ({ name: `script, first load (${language})`, bytes: first[at], limit: LIMITS.script })),
    { name: 'styles, first load', bytes: await sum(styles), limit: LIMITS.style },
    ...await Promise.all(later.map(async ([name, file]) => ({
      name: `later: ${name.replace(/^.*node_modules\//, '')}`,
      bytes: await sum([...closure(outputs, file)].filter((other) => !eager.has(other))),
    }))),
  ];
}

/** A file and all its static imports. */
function closure(outputs, file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const { path: next, kind } of outputs[file].imports) {
    if (kind === 'import-statement') closure(outputs, next, found);
  }
  return found;
}

/** The licences of the packages in the page. */
async function licenses({ inputs }) {
  const packages = new Set(Object.keys(inputs)
    .map((file) => file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
  const texts = await Promise.all([...packages].sort().map(async (name) => {
    const home = path.join(WEB, 'node_modules', name);
    const { version, license } = JSON.parse(await readFile(path.join(home, 'package.json'), 'utf8'));
    const file = (await readdir(home)).find((one) => /^licen[cs]e/i.test(one));
    const text = file ? await readFile(path.join(home, file), 'utf8') : '';
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  }));
  return texts.join(`\n${'-'.repeat(78)}\n\n`);
}
