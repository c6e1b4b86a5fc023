// Users with JSON Web Tokens, on sockets and event streams as over HTTP. The server at
// SESSIOND_USERS_URL signs with SESSIOND_JWT_SECRET, has SESSIOND_ADMIN_TOKEN, and accepts
// three messages a minute for each address and session.

import assert from 'node:assert/strict';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Api, Client, EventStream, TRANSPORTS, assertTurn, payload } from './sockets.mjs';

const url = process.env.SESSIOND_USERS_URL;
const secret = process.env.SESSIOND_JWT_SECRET;
const adminToken = process.env.SESSIOND_ADMIN_TOKEN;
assert.ok(url && secret && adminToken, 'SESSIOND_USERS_URL must name a running server');

const open = [];
after(() => open.forEach((one) => one.close()));

const base64 = (value) => Buffer.from(value).toString('base64url');

function jwt(claims, { alg = 'HS256', key = secret } = {}) {
  const message = `${base64(JSON.stringify({ alg, typ: 'JWT' }))}.${base64(JSON.stringify(claims))}`;
  return `${message}.${createHmac('sha256', key).update(message).digest('base64url')}`;
}

// What ElizaOS's `stringToUuid` returns for a text that is not a UUID.
function derived(text) {
  const bytes = createHash('sha1').update(encodeURIComponent(text)).digest().subarray(0, 16);
  bytes[6] &= 0x0f;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

class User {
  constructor(name) {
    this.id = name ? derived(name) : randomUUID();
    this.token = jwt({ sub: name ?? this.id, exp: inSeconds(600) });
    this.api = new Api(url, { Authorization: `Bearer ${this.token}` });
  }

  create() {
    return this.api.create({ userId: this.id });
  }

  connect(transports, options = { auth: { token: this.token } }) {
    const client = new Client(url, { transports, ...options });
    open.push(client);
    return client;
  }
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(`users by ${name}`, { timeout: 60_000, concurrency: true }, () => {
    test('use the rooms of their own sessions', async () => {
      const user = new User();
      const session = await user.create();
      for (const options of [
        { auth: { token: user.token } },
        { extraHeaders: { Authorization: `Bearer ${user.token}` } },
      ]) {
        const client = user.connect(transports, options);
        await client.join(session.sessionId);
        await client.say(session, 'Hello.');
        await client.idle(session.sessionId);
        assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
      }
    });

    test('may have any name, from which their id is derived', async () => {
      const user = new User(`auth0|Zoë ${randomUUID()}`);
      const { body: me } = await user.api.call('GET', '/../auth/me');
      assert.deepEqual(me, { role: 'user', userId: user.id });
      const session = await user.create();
      const client = user.connect(transports);
      await client.join(session.sessionId);
      await client.say(session, 'Hello.');
      await client.idle(session.sessionId);
      assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
    });

    test('cannot find the sessions of others', async () => {
      const [user, other] = [new User(), new User()];
      const [own, foreign] = [await user.create(), await other.create()];
      const client = user.connect(transports);
      await client.join(own.sessionId);
      const missing = { ...foreign, sessionId: randomUUID() };
      for (const { sessionId, userId } of [foreign, missing]) {
        const said = [
          ['join', { roomId: sessionId }],
          ['1', { channelId: sessionId }],
          ['2', payload({ sessionId, channelId: sessionId, userId }, 'Hello.')],
        ];
        for (const [event, data] of said) {
          assert.deepEqual(await client.refusal(event, data), { error: 'Session not found' });
        }
      }
      // Events of a foreign room do not arrive.
      await other.api.post(foreign, 'Hello.');
      await sleep(50);
      assert.deepEqual(client.ofRoom(foreign.sessionId), []);
      assert.equal((await other.api.history(foreign)).length, 2);
    });

    test('send only as themselves', async () => {
      const user = new User();
      const session = await user.create();
      const client = user.connect(transports);
      await client.join(session.sessionId);
      const forged = payload({ ...session, userId: randomUUID() }, 'Hello.');
      const { error } = await client.refusal('message', { type: 2, payload: forged });
      assert.match(error, /senderId/);
      assert.deepEqual(await user.api.history(session), []);
    });

    test('get a connect error for an invalid token', async () => {
      const { id } = new User();
      for (const token of [
        jwt({ sub: id, exp: inSeconds(-60) }),
        jwt({ sub: id }),
        jwt({ sub: ' ', exp: inSeconds(600) }),
        jwt({ sub: id, exp: inSeconds(600) }, { alg: 'HS512' }),
        jwt({ sub: id, exp: inSeconds(600) }, { key: `${secret}x` }),
        jwt({ sub: id, exp: inSeconds(600) }, { alg: 'none' }),
        `${base64('{"alg":"none"}')}.${base64(JSON.stringify({ sub: id, exp: inSeconds(600) }))}.`,
        '',
      ]) {
        const client = new Client(url, { transports, auth: { token } });
        open.push(client);
        const error = await client.get('connect_error');
        assert.ok(!JSON.stringify(error).includes(token || 'nothing'));
        assert.deepEqual(client.names(), ['connect_error']);
      }
    });

    test('have the same rate limit as over HTTP', async () => {
      const user = new User();
      const session = await user.create();
      const client = user.connect(transports);
      await client.join(session.sessionId);
      await client.say(session, 'One.');
      await user.api.post(session, 'Two.');
      await client.say(session, 'Three.');
      const { error } = await client.refusal('2', payload(session, 'Four.'));
      assert.match(error, /^Too many requests; try again in \d+ s$/);
      const call = ['POST', `/sessions/${session.sessionId}/messages`, { content: 'Five.' }];
      const { status, body } = await user.api.call(...call);
      assert.equal(status, 429);
      assert.equal(body.code, 'RATE_LIMIT_EXCEEDED');
      await client.idle(session.sessionId);
      const said = (await user.api.history(session)).filter(({ isAgent }) => !isAgent);
      assert.deepEqual(said.map(({ content }) => content), ['One.', 'Two.', 'Three.']);
    });
  });
}

test('an admin may use any room', async () => {
  const user = new User();
  const session = await user.create();
  const admin = new Client(url, { transports: ['websocket'], auth: { apiKey: adminToken } });
  open.push(admin);
  await admin.join(session.sessionId);
  await user.api.post(session, 'Hello.');
  await admin.idle(session.sessionId);
  assertTurn(admin.ofRoom(session.sessionId), session, 'Hello.');
});

test('event streams are only for the sessions’ users and admins', async () => {
  const [user, other] = [new User(), new User()];
  const session = await user.create();
  const { status, body } = await other.api.call('GET', `/sessions/${session.sessionId}/events`);
  assert.equal(status, 404);
  assert.equal(body.code, 'SESSION_NOT_FOUND');
  const headers = { Authorization: `Bearer ${user.token}` };
  const stream = await EventStream.open(url, session, { headers });
  open.push(stream);
  await stream.get('state');
});

test('pages of other sites are refused over either transport', async () => {
  for (const transports of Object.values(TRANSPORTS)) {
    const extraHeaders = { Origin: 'https://evil.example' };
    const options = { transports, extraHeaders, auth: { apiKey: adminToken } };
    const client = new Client(url, options);
    open.push(client);
    await client.get('connect_error');
    assert.deepEqual(client.named('connect'), []);
  }
});
