// The code that just ran, for each way, to copy: what is secret has a placeholder.

const quoted = (text) => `'${String(text).replace(/[\\']/g, '\\$&').replace(/\n/g, '\\n')}'`;

/** JavaScript that does what the page did for one file. */
export function codeOf({ way, object = 'photo.jpg', resumable, type = 'image/jpeg' }, at) {
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
// The token signs in the page: ali-oss, signature V4.
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
