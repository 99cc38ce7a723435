// An app that has code of the docs in it, the same in Node and in a page.

const PART = 100 * 1024; // the least that OSS accepts
const AsyncFunction = (async () => {}).constructor;

/**
 * Run each job's `code` with the names that it leaves to its reader: `names`, OSS, and `files`, of
 * which the job's `files` has names, types and texts (`file` is the first). Then, if it defines
 * `upload` and `client`:
 * - `rounds` times: upload `again` files at once;
 * - `parts`: upload that many parts, four at once, with its client, under `prefix`.
 * `answers`: what the token URL answers, {status, body} in turn, then the last again and again; status
 * 0 for no answer at all. Without it the URL in `names` is asked.
 * `record`: send nothing to OSS, note the URLs.
 * Returns what came of the code, of each round (and how often `fetch` was called by then), and of
 * the parts. `file` makes of bytes, name and type what a caller there uploads.
 */
export async function useCodes(OSS, jobs, file) {
  const made = [];
  for (const job of jobs) made.push(await useCode(OSS, job, file));
  return made;
}

async function useCode(OSS, job, file) {
  const files = (list = []) => list.map(({ name, type, text }) => file(encoded(text), name, type));
  const answered = { fetches: 0 };
  const urls = [];
  const given = {
    ...job.names,
    OSS: job.record ? recording(OSS, urls) : OSS,
    fetch: job.answers ? scripted(job.answers, answered) : counted(answered),
    files: files(job.files),
    file: files(job.files)[0],
  };
  const uses = job.rounds || job.parts ? '\nreturn {upload, client};' : '';
  const run = new AsyncFunction(...Object.keys(given), `${job.code}${uses}`);
  let defined;
  const code = await outcome(async () => {
    defined = await run(...Object.values(given));
  });
  const rounds = [];
  for (let round = 0; round < (job.rounds ?? 0); round += 1) {
    const outcomes = await Promise.all(
      files(job.again).map((one) => outcome(async () => (await defined.upload(one)).res.status)),
    );
    rounds.push({ outcomes, fetches: answered.fetches });
  }
  const parts =
    job.parts && (await outcome(() => uploadParts(defined.client, job, file)));
  return { code, rounds, parts, fetches: answered.fetches, urls };
}

async function uploadParts(client, { parts, prefix }, file) {
  const large = file(new Uint8Array(parts * PART), 'parts');
  const options = { partSize: PART, parallel: 4 };
  return (await client.multipartUpload(`${prefix}parts`, large, options)).res.status;
}

const encoded = (text) => new TextEncoder().encode(text);

const counted = (answered) => (url, options) => {
  answered.fetches += 1;
  return fetch(url, options);
};

const scripted = (answers, answered) => async () => {
  const { status, body } = answers[Math.min(answered.fetches, answers.length - 1)];
  answered.fetches += 1;
  // As slow as a network: other calls have to wait meanwhile.
  await new Promise((later) => setTimeout(later, 20));
  if (!status) throw new TypeError('Failed to fetch');
  return new Response(body, { status });
};

/** ali-oss that sends nothing: `urls` has the URLs of its requests. */
const recording = (OSS, urls) =>
  class extends OSS {
    constructor(options) {
      const request = async (url) => {
        urls.push(url);
        return { status: 200, headers: {}, res: { status: 200, headers: {} } };
      };
      super({ ...options, urllib: { request } });
    }
  };

async function outcome(step) {
  try {
    return { value: await step() };
  } catch (error) {
    return { error: { message: String(error.message), code: error.code } };
  }
}
