// Warnings and expiries on sockets and event streams, and their credentials. The servers:
// SESSIOND_FAST_URL, whose minutes are seconds (SESSION_TIME_SCALE=60) and whose shortest timeout is
// one minute, and SESSIOND_GUARDED_URL, which requires SESSIOND_TOKEN.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Api, Client, EventStream, TRANSPORTS, assertTurn, payload } from './sockets.mjs';

const fastUrl = process.env.SESSIOND_FAST_URL;
const guardedUrl = process.env.SESSIOND_GUARDED_URL;
const token = process.env.SESSIOND_TOKEN;
assert.ok(fastUrl, 'SESSIOND_FAST_URL must name a running server');
assert.ok(guardedUrl && token, 'SESSIOND_GUARDED_URL must name a running server');

const OPTIONS = { timeout: 60_000 };
const MINUTE = 1000;

const open = [];
after(() => open.forEach((one) => one.close()));

// ---- Time -------------------------------------------------------------------------------------

describe('time', { ...OPTIONS, concurrency: true }, () => {
  const api = new Api(fastUrl);

  /** Creates a session with a socket of each transport and an event stream. */
  async function listen(timeoutConfig) {
    const session = await api.create({ timeoutConfig });
    const sockets = Object.values(TRANSPORTS).map((transports) => new Client(fastUrl, { transports }));
    const stream = await EventStream.open(fastUrl, session);
    open.push(...sockets, stream);
    const joined = await Promise.all(sockets.map((socket) => socket.join(session.sessionId)));
    const state = await stream.get('state');
    const listeners = [...sockets, stream];
    for (const listener of listeners) stamp(listener);
    return { session, sockets, stream, listeners, joined: joined[0], state };
  }

  /** Records when each event arrives. */
  function stamp(listener) {
    const push = listener.push.bind(listener);
    listener.push = (event) => push({ ...event, at: Date.now() });
  }

  const events = (listener, session) =>
    listener.ofRoom(session.sessionId).map(({ name, data }) => ({ name, data }));

  const warning = ({ sessionId, expiresAt }, minutesRemaining) => ({
    name: 'sessionExpirationWarning',
    data: { sessionId, minutesRemaining, expiresAt },
  });
  const expiry = ({ sessionId, expiresAt }) => ({
    name: 'sessionExpired',
    data: { sessionId, expiredAt: expiresAt },
  });
  const renewal = ({ sessionId, expiresAt, renewalCount }) => ({
    name: 'sessionRenewed',
    data: { sessionId, expiresAt, renewalCount },
  });

  /** Asserts that the events arrived within a second after their time. */
  function assertOnTime(listener, name, at) {
    const late = listener.events.filter((event) => event.name === name).at(-1).at - at;
    assert.ok(late >= 0 && late < 1000, `${name} came ${late} ms after its time`);
  }

  async function assertAllHear(listeners, session, expected) {
    for (const listener of listeners) {
      await listener.wait(
        () => events(listener, session).length >= expected.length,
        `${expected.length} events`,
      );
      assert.deepEqual(events(listener, session).map(rounded(expected)), expected);
    }
  }

  /** A minute is a second here, so on a busy machine one may pass before a warning. */
  const rounded = (expected) => (event, index) => {
    const minutes = expected[index]?.data.minutesRemaining;
    const isNear = minutes - event.data.minutesRemaining === 1;
    return isNear ? { ...event, data: { ...event.data, minutesRemaining: minutes } } : event;
  };

  test('one warning, one expiry, and then nothing', async () => {
    const { session, sockets, stream, listeners, joined, state } = await listen({
      timeoutMinutes: 4,
      warningThresholdMinutes: 2,
    });
    assert.equal(joined.isNearExpiration, false);
    assert.equal(state.isNearExpiration, false);
    const expected = [warning(session, 2), expiry(session)];
    await assertAllHear(listeners, session, expected);
    const end = Date.parse(session.expiresAt);
    for (const listener of listeners) {
      assertOnTime(listener, 'sessionExpirationWarning', end - 2 * MINUTE);
      assertOnTime(listener, 'sessionExpired', end);
    }
    await stream.end();

    for (const socket of sockets) {
      const refusal = { error: 'Session has expired' };
      assert.deepEqual(await socket.refusal('join', { roomId: session.sessionId }), refusal);
      assert.deepEqual(await socket.refusal('2', payload(session, 'Hello?')), refusal);
    }
    for (const path of ['', '/events', '/messages']) {
      assert.equal((await api.call('GET', `/sessions/${session.sessionId}${path}`)).status, 410);
    }
    // The room is empty, so the DELETE sends no event.
    await api.remove(session);
    for (const socket of sockets) await api.settle(socket);
    await assertAllHear(listeners, session, expected);
  });

  test('a session that is created near its expiry gets no warning', async () => {
    const { session, listeners, joined, state } = await listen({
      timeoutMinutes: 3,
      warningThresholdMinutes: 5,
    });
    assert.equal(joined.isNearExpiration, true);
    assert.equal(state.isNearExpiration, true);
    await sleep(MINUTE);
    const renewed = await api.renew(session);
    await assertAllHear(listeners, session, [renewal(renewed), expiry(renewed)]);
  });

  test('a renewed session gets another warning', async () => {
    const { session, listeners, stream } = await listen({
      timeoutMinutes: 4,
      warningThresholdMinutes: 2,
    });
    await listeners[0].get('sessionExpirationWarning');
    const renewed = await api.renew(session);
    await assertAllHear(listeners, session, [
      warning(session, 2),
      renewal(renewed),
      warning(renewed, 2),
      expiry(renewed),
    ]);
    await stream.end();
  });

  test('a PATCH that brings the expiry near warns at once', async () => {
    const { session, listeners } = await listen({
      timeoutMinutes: 30,
      warningThresholdMinutes: 1,
    });
    const asked = Date.now();
    const near = await api.patch(session, { warningThresholdMinutes: 60 });
    assert.equal(near.isNearExpiration, true);
    await assertAllHear(listeners, session, [warning(session, 30)]);
    for (const listener of listeners) assertOnTime(listener, 'sessionExpirationWarning', asked);

    // It is already near.
    await api.patch(session, { autoRenew: false });
    // Far, and near again.
    await api.patch(session, { warningThresholdMinutes: 1 });
    const shorter = await api.patch(session, { timeoutMinutes: 20, warningThresholdMinutes: 20 });
    const expected = [warning(session, 30), warning(shorter, 20)];
    await assertAllHear(listeners, session, expected);

    const renewed = await api.renew(session);
    await assertAllHear(listeners, session, [...expected, renewal(renewed)]);
    for (const socket of listeners.slice(0, -1)) await api.settle(socket);
    await assertAllHear(listeners, session, [...expected, renewal(renewed)]);
  });

  test('a PATCH that postpones the expiry allows another warning', async () => {
    const { session, listeners } = await listen({
      timeoutMinutes: 4,
      warningThresholdMinutes: 2,
    });
    await listeners[0].get('sessionExpirationWarning');
    const longer = await api.patch(session, { timeoutMinutes: 6 });
    await assertAllHear(listeners, session, [
      warning(session, 2),
      warning(longer, 2),
      expiry(longer),
    ]);
  });

  test('a heartbeat renews', async () => {
    const { session, listeners } = await listen({ timeoutMinutes: 30 });
    const beaten = await api.done('POST', `/sessions/${session.sessionId}/heartbeat`);
    assert.equal(beaten.renewalCount, 1);
    await assertAllHear(listeners, session, [renewal(beaten)]);
  });

  test('without autoRenew neither a message nor a heartbeat renews', async () => {
    const { session, sockets, listeners } = await listen({ timeoutMinutes: 30, autoRenew: false });
    await api.done('POST', `/sessions/${session.sessionId}/heartbeat`);
    await sockets[0].say(session, 'Hello.');
    for (const listener of listeners) {
      await listener.idle(session.sessionId);
      assert.deepEqual(listener.named('sessionRenewed'), []);
      assert.equal(listener.named('messageBroadcast').length, 2);
    }
  });
});

// ---- Credentials ------------------------------------------------------------------------------

describe('a server with a token', OPTIONS, () => {
  const api = new Api(guardedUrl, { 'X-API-KEY': token });

  function connect(transports, options) {
    const client = new Client(guardedUrl, { transports, ...options });
    open.push(client);
    return client;
  }

  const admitted = {
    'auth.apiKey': { auth: { apiKey: token } },
    'auth.apiKey and an entityId': { auth: { apiKey: token, entityId: randomUUID() } },
    'X-API-KEY': { extraHeaders: { 'X-API-KEY': token } },
    Authorization: { extraHeaders: { Authorization: `Bearer ${token}` } },
  };
  const refused = {
    'no credentials': {},
    'an empty auth': { auth: {} },
    'an empty apiKey': { auth: { apiKey: '' } },
    'a wrong apiKey': { auth: { apiKey: `${token}x` } },
    'an apiKey that is not a string': { auth: { apiKey: [token] } },
    'the token as a user’s': { auth: { token: 'x' } },
    'a wrong X-API-KEY': { extraHeaders: { 'X-API-KEY': 'x' } },
    'a wrong Authorization': { extraHeaders: { Authorization: 'Bearer x' } },
    'the token in the address': { query: { apiKey: token, token } },
  };
  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    for (const [way, options] of Object.entries(admitted)) {
      test(`by ${name} admits ${way}`, async () => {
        const session = await api.create();
        const client = connect(transports, options);
        await client.join(session.sessionId);
        await client.say(session, 'Hello.');
        await client.idle(session.sessionId);
        assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
      });
    }

    for (const [way, options] of Object.entries(refused)) {
      test(`by ${name} refuses ${way} with a connect error`, async () => {
        const session = await api.create();
        const client = connect(transports, options);
        client.emit('join', { roomId: session.sessionId });
        client.emit('2', payload(session, 'Hello.'));
        const error = await client.get('connect_error');
        assert.ok(typeof error.message === 'string' && error.message !== '');
        assert.ok(!JSON.stringify(error).includes(token));
        await sleep(50);
        assert.deepEqual(client.names(), ['connect_error']);
        assert.deepEqual(await api.history(session), []);
      });
    }
  }

  test('event streams need credentials', async () => {
    const session = await api.create();
    const stranger = new Api(guardedUrl);
    const { status, body } = await stranger.call('GET', `/sessions/${session.sessionId}/events`);
    assert.equal(status, 401);
    assert.equal(body.code, 'UNAUTHORIZED');
    const stream = await EventStream.open(guardedUrl, session, { headers: { 'X-API-KEY': token } });
    open.push(stream);
    await stream.get('state');
  });
});
