// The back ends of `data/examples` that mint tokens, with the client library and a server that requires them.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { after, before, test } from 'node:test';

import { ELIZA, OPTIONS, Server, load, start, until } from './servers.mjs';

const SECRET = 'what-signs-the-tokens-of-the-examples';
const ORIGIN = 'http://localhost:8000';
const EXAMPLES = [['node', 'tokens.mjs'], ['python3', 'tokens.py']];

let server;
let library;

before(async () => {
  server = await Server.start({ JWT_SECRET: SECRET, SESSIOND_ADMIN_TOKEN: 'the-administrator' });
  library = await load(server);
});

after(async () => {
  await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
});

/** Starts a back end, and returns the address of its tokens. */
async function serve(t, [program, file], settings = {}) {
  const example = start(program, file, { JWT_SECRET: SECRET, APP_USER: 'ada', PORT: '0', ...settings });
  t.after(() => example.stop());
  const [, url] = await example.find(/tokens for pages of \S+: (\S+)\n/);
  return url;
}

const post = (url, origin = ORIGIN) => fetch(url, { method: 'POST', headers: origin ? { Origin: origin } : {} });

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

for (const example of EXAMPLES) {
  const [program, name] = example;

  test(`${name}: a page gets a token of the signed-in user`, OPTIONS, async (t) => {
    const url = await serve(t, example, { TOKEN_SECONDS: '86400' });
    const response = await post(url);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('access-control-allow-origin'), ORIGIN);
    assert.equal(response.headers.get('access-control-allow-credentials'), 'true');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const token = await response.text();
    const { sub, iat, exp } = claimsOf(token);
    assert.equal(sub, 'ada');
    assert.ok(Math.abs(iat - Date.now() / 1000) < 60);
    assert.equal(exp - iat, 600, 'ten minutes at most');

    const user = new library.SessiondClient({ baseUrl: server.url, token });
    const { role, userId } = await user.me();
    assert.equal(role, 'user');
    const session = await user.createSession({ agentId: ELIZA, userId });
    assert.ok((await user.send(session.sessionId, { content: 'Hello.', transport: 'http' })).agentResponse.text);
  });

  test(`${name}: others get none`, OPTIONS, async (t) => {
    const url = await serve(t, example);
    for (const origin of ['http://localhost:8001', 'https://attacker.example', 'null', undefined]) {
      const response = await post(url, origin ?? null);
      assert.equal(response.status, 403, origin);
      assert.equal(response.headers.get('access-control-allow-origin'), ORIGIN);
      assert.doesNotMatch(await response.text(), /eyJ/);
    }
    const headers = { Origin: ORIGIN };
    for (const [method, path, status] of [['GET', '', 405], ['OPTIONS', '', 204], ['POST', '/else', 404]]) {
      const response = await fetch(url + path, { method, headers });
      assert.equal(response.status, status, `${method} ${path}`);
      assert.doesNotMatch(await response.text(), /eyJ/);
    }
    const signedOut = await serve(t, example, { APP_USER: '' });
    assert.equal((await post(signedOut)).status, 401);
    const { port } = new URL(url);
    const outer = Object.values(networkInterfaces()).flat().filter(({ family, internal }) => family === 'IPv4' && !internal);
    for (const { address } of outer) {
      await assert.rejects(post(`http://${address}:${port}/token`), 'only this machine reaches it');
    }
  });

  test(`${name}: a short or missing secret is refused`, OPTIONS, async () => {
    for (const secret of [undefined, '', 'x'.repeat(31)]) {
      const { code, output } = await start(program, name, { ...(secret !== undefined && { JWT_SECRET: secret }), PORT: '0' }).ended;
      assert.equal(code, 1);
      assert.match(output, /JWT_SECRET must be that of the server, at least 32 bytes/);
    }
  });

  test(`${name}: a lifetime that is not a number of seconds is refused`, OPTIONS, async () => {
    for (const seconds of ['abc', '10m', '0', '-1', '1.5']) {
      const { code, output } = await start(program, name, { JWT_SECRET: SECRET, TOKEN_SECONDS: seconds, PORT: '0' }).ended;
      assert.equal(code, 1, seconds);
      assert.equal(output.trim(), `TOKEN_SECONDS is "${seconds}"; expected a number from 1 to 600`);
    }
  });
}

test('a token that has expired is replaced in the middle of a conversation', OPTIONS, async (t) => {
  const talks = EXAMPLES.map(async (example) => {
    const url = await serve(t, example, { TOKEN_SECONDS: '1' });
    const tokens = [];
    const token = async () => {
      const response = await post(url);
      if (!response.ok) throw new Error(`status ${response.status}`);
      tokens.push(await response.text());
      return tokens.at(-1);
    };
    const user = new library.SessiondClient({ baseUrl: server.url, token });
    const { userId } = await user.me();
    const { sessionId } = await user.createSession({ agentId: ELIZA, userId });
    const say = async (content) => {
      for await (const { type, data } of user.stream(sessionId, { content })) if (type === 'done') return data.text;
      return assert.fail('there is no reply');
    };
    assert.ok(await say('Hello.'));
    const [first] = tokens;
    const asked = { headers: { Authorization: `Bearer ${first}` } };
    await until(async () => (await fetch(`${server.url}/api/auth/me`, asked)).status === 401, 'the token expires');
    assert.ok(await say('Are you still there?'));
    assert.ok(tokens.length > 1 && tokens.at(-1) !== first);
    assert.equal((await user.messages(sessionId)).messages.length, 4);
  });
  await Promise.all(talks);
});
