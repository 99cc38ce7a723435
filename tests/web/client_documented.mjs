// Runs a block of docs/web.md, unchanged, in Node. Reads {code, tokenUrl, login, size} as JSON on stdin. Prints
// as JSON what the block stored, what it logged, and the fields that wx.uploadFile got.

import { json } from 'node:stream/consumers';

const job = await json(process.stdin);
const source = new URL('../../web/client/oss_upload.js', import.meta.url);
const code = job.code.replace(/^import (\{ connect \}) from '[^']*';/m, `const $1 = await import('${source}');`);
const logged = [], fields = [];
const told = { log: (text) => logged.push(text) };

/** wx.request and wx.uploadFile as the vendor documents them, with their arguments and callbacks. */
const wx = {
  request({ url, method, header, data, dataType, success, fail }) {
    fetch(url, { method, headers: header, body: data }).then(
      async (answer) => success({ statusCode: answer.status, data: dataType === 'text' ? await answer.text() : null }),
      () => fail({ errMsg: 'request:fail' }),
    );
  },
  uploadFile({ url, filePath, name, formData, success, fail }) {
    fields.push(...Object.keys(formData));
    const form = new FormData();
    for (const [field, value] of Object.entries(formData)) form.append(field, value);
    form.append(name, new File(['picture'], filePath));
    fetch(url, { method: 'POST', body: form }).then(
      async (answer) => success({ statusCode: answer.status, data: await answer.text() }),
      () => fail({ errMsg: 'uploadFile:fail' }),
    );
  },
};

const AsyncFunction = (async () => {}).constructor;
const file = new File([new Uint8Array(job.size)], 'photo.jpg', { type: 'image/jpeg' });
const names = { tokenUrl: job.tokenUrl, login: job.login, callerId: 'alice', file, wx, tempFilePath: 'wxfile://tmp.jpg', console: told };
const stored = await new AsyncFunction(...Object.keys(names), `${code}; return stored;`)(...Object.values(names));
console.log(JSON.stringify({ stored, logged, fields }));
