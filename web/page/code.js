// The code that just ran, for each way to upload, so that users can copy it. Placeholders replace the secrets.

const quoted = (text) => `'${String(text).replace(/[\\']/g, '\\$&').replace(/\n/g, '\\n')}'`;

/** JavaScript code that uploads one file in the same way as the page did. */
function codeOf({ way, object = 'photo.jpg', resumable, type = 'image/jpeg' }, at) {
  const login = at.session.user ? `,\n  login: () => '${at.t('code.login')}'` : '';
  const name = object ? `object: ${quoted(object)}` : "name: 'auto', ext: 'jpg'";
  const isMultipart = way === 'multipart' || way === 'token' && resumable;
  return [
    "import Uppy from '@uppy/core';",
    "import AwsS3 from '@uppy/aws-s3';",
    ...(way === 'token' ? ["import OSS from 'ali-oss';"] : []),
    "import { connect } from './client/oss_upload.js';",
    '',
    `const client = connect({\n  url: ${quoted(at.settings.appServer ?? '')}${login},\n});`,
    ...(way === 'token' ? [SIGN] : []),
    `const wishes = (file) => ({\n  ${name},\n  size: file.size,\n  content_type: file.type,\n});`,
    '',
    'const uppy = new Uppy();',
    `uppy.use(AwsS3, {\n  ...client.uppy('${way}', wishes${way === 'token' ? ', sign' : ''}),`
      + `\n  shouldUseMultipart: ${isMultipart},\n});`,
    `uppy.addFile(file); // a File, here of ${type}`,
    'await uppy.upload();',
  ].join('\n');
}

const SIGN = `
// ali-oss signs in the page, with the token (signature V4).
const sign = (token, { method, key, query, headers, seconds }) => new OSS({
  accessKeyId: token.AccessKeyId,
  accessKeySecret: token.AccessKeySecret,
  stsToken: token.SecurityToken,
  bucket: token.Scope.Bucket,
  region: \`oss-\${token.Scope.Region}\`,
  endpoint: token.Scope.Endpoint,
  cname: token.Scope.Cname,
  sldEnable: !token.Scope.Cname && token.Scope.Endpoint.startsWith('http:'), // the sandbox
  authorizationV4: true,
  refreshSTSTokenInterval: Infinity, // the client renews the token
}).signatureUrlV4(method, seconds, { headers, queries: query }, key);
`;

/** Mount the card: the code of the last upload, or of the chosen way. */
export function showCode(root, at) {
  const code = root.querySelector('#code code');
  let last = {};
  const show = () => { code.textContent = codeOf({ ...last, way: at.settings.way }, at); };
  at.on('ran', (ran) => {
    last = ran;
    code.textContent = codeOf(ran, at);
  });
  at.on('way', show);
  at.on('changed', () => {
    last = {};
    show();
  });
  root.querySelector('#copy-code').addEventListener('click', async () => {
    const isCopied = await copy(code);
    root.querySelector('#copied').textContent = at.t(isCopied ? 'code.copied' : 'code.marked');
  });
}

/** Copy an element's text, or select it if the page may not copy. */
async function copy(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // The page has no access to the clipboard. The old command copies the text that is selected.
    return document.execCommand('copy');
  }
}
