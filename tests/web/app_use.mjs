// Runs code of the docs as an app does. Node and pages both use this module.

const PART = 100 * 1024; // the smallest part that OSS accepts, in bytes
const AsyncFunction = (async () => {}).constructor;

/**
 * Run the `code` of each job. The code can use OSS, the job's `names`, `files` and `file`. `files` are made from
 * the names, types and texts that the job's `files` lists, and `file` is the first of these files. If the code
 * defines `upload` and `client`, the job can use them:
 * - `rounds`: how many times to upload the files of `again`, all at once;
 * - `parts`: how many parts to upload with the client under `prefix`, four at once.
 * `answers`: the token URL gives these answers {status, body} one after the other, and repeats the last one.
 * Status 0 means no answer. Without `answers`, the code calls the token URL in `names`.
 * `record`: send nothing to OSS, and return the URLs.
 * Returns three things: what the code returned, the result of each round (with the number of calls of `fetch` so
 * far), and the results of the parts. The function `file` makes a Buffer or a File from bytes, name and type.
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
  // This delay simulates a slow network, so that more calls begin before the answer arrives.
  await new Promise((later) => setTimeout(later, 20));
  if (!status) throw new TypeError('Failed to fetch');
  return new Response(body, { status });
};

/** Simulates ali-oss. The client sends nothing, and puts the URLs of its requests into `urls`. */
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
