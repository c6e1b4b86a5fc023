// The part of an app's back end that mints the tokens with which its pages call sessiond.
//
//     JWT_SECRET=<the server's> APP_USER=<who is signed in> [APP_ORIGIN=...] [TOKEN_SECONDS=...] [PORT=...] node tokens.mjs
//
// A page fetches `POST /token`. Node 18 or later, no packages.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';

const { JWT_SECRET: secret = '', APP_ORIGIN: origin = 'http://localhost:8000', PORT: port = '8001' } = process.env;
const LONGEST = 600; // Who steals a token has it for ten minutes at most.
const lifetime = Math.min(Number(process.env.TOKEN_SECONDS || LONGEST), LONGEST);

if (Buffer.byteLength(secret) < 32) {
  console.error('JWT_SECRET must be that of the server, at least 32 bytes');
  process.exit(1);
}
if (!Number.isInteger(lifetime) || lifetime < 1) {
  console.error(`TOKEN_SECONDS is "${process.env.TOKEN_SECONDS}"; expected a number from 1 to ${LONGEST}`);
  process.exit(1);
}

// Your sign-in goes here. Returns the id of the user to whom the request's cookie belongs, or
// nothing. Never take it from the request's address or body: everyone could be everyone.
// For development, all who open the page are one user.
function signedInUser({ headers: { cookie } }) {
  return process.env.APP_USER;
}

function mint(user) {
  const now = Math.floor(Date.now() / 1000);
  // A server with JWT_ISSUER or JWT_AUDIENCE also requires `iss` or `aud`.
  const parts = [{ alg: 'HS256', typ: 'JWT' }, { sub: user, iat: now, exp: now + lifetime }];
  const message = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
}

function answer({ method, url, headers }, user) {
  if (url !== '/token') return [404, 'not found'];
  // A browser names the origin of a page with each POST, and no page can forge it.
  if (headers.origin !== origin) return [403, 'not a page of this app'];
  if (method === 'OPTIONS') return [204];
  if (method !== 'POST') return [405, 'expected POST'];
  return user ? [200, mint(user)] : [401, 'not signed in'];
}

const server = createServer((request, response) => {
  const [status, text] = answer(request, signedInUser(request));
  response.writeHead(status, {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true', // Your sign-in's cookie.
    'Access-Control-Allow-Headers': 'authorization, content-type',
    'Cache-Control': 'no-store',
    'Content-Type': 'text/plain',
    Vary: 'Origin',
  });
  response.end(text);
});
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`tokens for pages of ${origin}: http://localhost:${server.address().port}/token`);
});
