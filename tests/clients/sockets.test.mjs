// The published npm package socket.io-client against a running server: requests, answers and the
// events of rooms, over each of its transports. SESSIOND_URL names the
// server; it has the built-in agent.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  Api,
  Client,
  ELIZA,
  EventStream,
  TIME,
  TRANSPORTS,
  UUID,
  assertBroadcast,
  assertKeys,
  assertTurn,
  comparable,
  payload,
} from './sockets.mjs';

const url = process.env.SESSIOND_URL;
assert.ok(url, 'SESSIOND_URL must name a running server');

const api = new Api(url);
const OPTIONS = { timeout: 60_000 };

const open = [];
after(() => open.forEach((one) => one.close()));

function connect(options) {
  const client = new Client(url, options);
  open.push(client);
  return client;
}

async function follow(session, options) {
  const stream = await EventStream.open(url, session, options);
  open.push(stream);
  await stream.get('state');
  return stream;
}

/** Creates a session, and a client in its room. */
async function enter(options = { transports: ['websocket'] }, more = {}) {
  const session = await api.create(more);
  const client = connect(options);
  await client.join(session.sessionId);
  return { session, client };
}

// ---- Requests and answers ----------------------------------------------------------------------

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(`by ${name}`, OPTIONS, () => {
    test('a connection is greeted', async () => {
      const client = connect({ transports });
      const greeting = await client.get('connection_established');
      assertKeys(greeting, ['message', 'socketId']);
      assert.equal(typeof greeting.message, 'string');
      assert.equal(greeting.socketId, client.socket.id);
      await api.settle(client);
      assert.deepEqual(client.named('authenticated'), [], 'no greeting without an entityId');
    });

    test('an entityId is confirmed', async () => {
      const entityId = randomUUID();
      const client = connect({ transports, auth: { entityId: entityId.toUpperCase() } });
      const { timestamp, ...rest } = await client.get('authenticated');
      assert.deepEqual(rest, { entityId });
      assert.match(timestamp, TIME);
      assert.deepEqual(client.names().slice(-2), ['connection_established', 'authenticated']);
    });

    test('an invalid entityId is a connect error', async () => {
      for (const entityId of ['ada', '', 7, {}, [randomUUID()], true]) {
        const client = connect({ transports, auth: { entityId } });
        const error = await client.get('connect_error');
        assert.notEqual(error.message, '');
        assert.ok(!client.socket.connected, JSON.stringify(entityId));
        assert.deepEqual(client.named('connection_established'), []);
      }
    });

    test('an event with a callback is acknowledged with the body of its answer', async () => {
      const session = await api.create();
      const client = connect({ transports });
      const ask = (...event) => client.socket.timeout(20_000).emitWithAck(...event);
      const roomId = session.sessionId;
      assert.deepEqual(await ask('join', { roomId }), await client.get('room_joined'));
      const joined = await ask('message', { type: 1, payload: { roomId } });
      assert.deepEqual(joined, await client.get('room_joined', 2));
      const said = await ask('2', payload(session, 'Hello.', { messageId: 'mine' }));
      assert.equal(said.clientMessageId, 'mine');
      assert.deepEqual(said, await client.get('messageAck'));
      const again = await ask('message', { type: 2, payload: payload(session, 'Hello again.') });
      assert.deepEqual(again, await client.get('messageAck', 2));
      const refused = [
        ['join', { roomId: randomUUID() }],
        ['join', {}],
        ['1'],
        ['2', payload(session, '')],
        ['message', { type: 3 }],
      ];
      for (const [n, event] of refused.entries()) {
        const refusal = await ask(...event);
        assertKeys(refusal, ['error']);
        assert.deepEqual(refusal, await client.get('messageError', n + 1));
      }
      assert.equal(await ask('leave', { roomId }), undefined);
    });

    test('half a surrogate pair arrives as U+FFFD', async () => {
      const { session, client } = await enter({ transports });
      const content = 'Great news \u{1F389}'.slice(0, 12);
      assert.equal(content.isWellFormed?.() ?? false, false);
      await client.say(session, content, { messageId: 'half' });
      const broadcast = await client.get('messageBroadcast');
      assert.equal(broadcast.text, 'Great news \uFFFD');
      assert.equal((await api.history(session)).at(0).content, 'Great news \uFFFD');
    });

    const joins = {
      'join with roomId': (id) => ['join', { roomId: id }],
      'join with channelId': (id) => ['join', { channelId: id }],
      'message of type 1 with roomId': (id) => ['message', { type: 1, payload: { roomId: id } }],
      'message of type 1 with channelId': (id) => [
        'message',
        { type: 1, payload: { channelId: id, entityId: randomUUID() } },
      ],
      'event 1 with roomId': (id) => ['1', { roomId: id, entityId: randomUUID() }],
      'event 1 with channelId': (id) => ['1', { channelId: id }],
    };
    for (const [way, packet] of Object.entries(joins)) {
      for (const name of ['sessionId', 'channelId']) {
        test(`a room is joined by its ${name} with ${way}`, async () => {
          const session = await api.create();
          const client = connect({ transports });
          client.emit(...packet(session[name].toUpperCase()));
          const joined = await client.get('room_joined');
          assert.equal(typeof joined.message, 'string');
          assert.deepEqual(joined, {
            message: joined.message,
            channelId: session.channelId,
            roomId: session.channelId,
            sessionId: session.sessionId,
            expiresAt: session.expiresAt,
            renewalCount: 0,
            isNearExpiration: false,
            inputEnabled: true,
          });
          assert.deepEqual(client.named('channel_joined'), [joined]);

          await api.post(session, 'Hello.');
          await client.idle(session.sessionId);
          assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
        });
      }
    }

    test('an unknown or deleted session cannot be joined', async () => {
      const deleted = await api.create();
      await api.remove(deleted);
      const client = connect({ transports });
      for (const roomId of [randomUUID(), deleted.sessionId, 'lobby', '']) {
        const refusal = await client.refusal('join', { roomId });
        assertKeys(refusal, ['error']);
        assert.ok(typeof refusal.error === 'string' && refusal.error !== '', roomId);
      }
      assert.deepEqual(client.named('room_joined'), []);
      assert.deepEqual(client.named('channel_joined'), []);
    });

    test('a socket that left a room receives no more of its events', async () => {
      const { session, client } = await enter({ transports });
      client.emit('leave', { roomId: session.sessionId.toUpperCase() });
      await api.settle(client);
      await api.post(session, 'Are you gone?');
      await api.settle(client);
      assert.deepEqual(client.ofRoom(session.sessionId), []);

      await client.join(session.sessionId);
      await api.post(session, 'Are you back?');
      await client.idle(session.sessionId);
      assertTurn(client.ofRoom(session.sessionId), session, 'Are you back?');
    });

    const sends = {
      'message of type 2 with channelId': (fields) => ['message', { type: 2, payload: fields }],
      'event 2 with channelId': (fields) => ['2', fields],
      'message of type 2 with roomId': ({ channelId: roomId, ...fields }) => [
        'message',
        { type: 2, payload: { roomId, ...fields } },
      ],
      'event 2 with roomId': ({ channelId: roomId, ...fields }) => ['2', { roomId, ...fields }],
    };
    for (const [way, packet] of Object.entries(sends)) {
      test(`${way} is acknowledged, stored and answered`, async () => {
        const { session, client } = await enter({ transports });
        const watcher = connect({ transports });
        await watcher.join(session.channelId);
        const stream = await follow(session);
        const messageId = randomUUID();
        client.emit(...packet(payload(session, 'I feel tired.', { messageId })));
        await Promise.all([client, watcher, stream].map((log) => log.idle(session.sessionId)));

        const ack = await client.get('messageAck');
        const { user, reply } = assertTurn(
          client.ofRoom(session.sessionId),
          session,
          'I feel tired.',
        );
        assert.deepEqual(ack, {
          clientMessageId: messageId,
          messageId: user.id,
          status: 'received_by_server_and_processing',
          channelId: session.channelId,
          roomId: session.channelId,
        });
        const expected = { senderId: session.userId, senderName: 'User', source: 'socketio_client' };
        assertBroadcast(user, session, { ...expected, clientMessageId: messageId });
        const seen = watcher.ofRoom(session.sessionId);
        assertBroadcast(seen[0].data, session, expected);
        assert.deepEqual(seen, comparable(client.ofRoom(session.sessionId)));
        assert.deepEqual(comparable(stream.ofRoom(session.sessionId)), seen);
        assert.deepEqual(watcher.named('messageAck'), []);

        const history = await api.history(session);
        assert.deepEqual(
          history.map(({ id, content, createdAt }) => [id, content, Date.parse(createdAt)]),
          [user, reply].map(({ id, text, createdAt }) => [id, text, createdAt]),
        );
        assert.equal(client.named('messageAck').length, 1, 'one acknowledgement');
      });
    }

    for (const transport of ['websocket', 'http', 'sse']) {
      test(`a POST with transport ${transport} is broadcast to the room`, async () => {
        const { session, client } = await enter({ transports });
        const stream = await follow(session);
        await api.post(session, 'Hello.', { transport, clientMessageId: 'mine' });
        await Promise.all([client, stream].map((log) => log.idle(session.sessionId)));
        const seen = client.ofRoom(session.sessionId);
        const { user } = assertTurn(seen, session, 'Hello.');
        const expected = { senderId: session.userId, senderName: 'User', source: 'user' };
        assertBroadcast(user, session, expected);
        assert.deepEqual(
          stream.ofRoom(session.sessionId).map(({ name, data }) => ({ name, data })),
          seen,
        );
        for (const { name, data, id } of stream.ofRoom(session.sessionId)) {
          if (name === 'messageBroadcast') assert.equal(id, String(data.createdAt));
          else assert.equal(id, undefined, name);
        }
      });
    }

    test('DELETE sends one event to the room and nothing after it', async () => {
      const { session, client } = await enter({ transports });
      const stream = await follow(session);
      await api.remove(session);
      const id = session.sessionId;
      const deleted = { name: 'channelDeleted', data: { channelId: id, roomId: id, sessionId: id } };
      await stream.end();
      assert.deepEqual(stream.events.slice(1).map(({ name, data }) => ({ name, data })), [deleted]);
      await client.get('channelDeleted');
      const refusal = await client.refusal('message', { type: 2, payload: payload(session, 'Hm?') });
      assert.deepEqual(refusal, { error: 'Session not found' });
      await api.settle(client);
      assert.deepEqual(client.ofRoom(id), [deleted]);
    });

    test('rooms are isolated from each other', async () => {
      const rooms = await Promise.all([1, 2, 3].map(() => enter({ transports })));
      await Promise.all(
        rooms.map(async ({ session, client }, n) => {
          for (let i = 0; i < 5; i += 1) await client.say(session, `Room ${n}, message ${i}`);
        }),
      );
      for (const { client } of rooms) await api.settle(client);
      for (const { session, client } of rooms) {
        for (const other of rooms) {
          const heard = client.ofRoom(other.session.sessionId);
          if (other.session === session) assert.ok(heard.length > 0);
          else assert.deepEqual(heard, []);
        }
        const text = client.named('messageBroadcast').filter((one) => one.senderId !== ELIZA);
        const own = text.filter(({ sessionId }) => sessionId === session.sessionId);
        assert.equal(own.length, 5, 'each message once');
      }
    });
  });
}

test('a connection that begins with polling is upgraded to websocket', OPTIONS, async () => {
  const { session, client } = await enter({ transports: TRANSPORTS.upgrade });
  const { engine } = client.socket.io;
  while (engine.transport.name !== 'websocket') await sleep(10);
  await client.say(session, 'Still here.');
  await client.idle(session.sessionId);
  assertTurn(comparable(client.ofRoom(session.sessionId)), session, 'Still here.');
});

// ---- Messages ----------------------------------------------------------------------------------

describe('a message by socket', OPTIONS, () => {
  test('may be sent right after the join', async () => {
    const session = await api.create();
    const client = connect();
    client.emit('join', { roomId: session.sessionId });
    for (let n = 0; n < 10; n += 1) {
      client.emit('2', payload(session, `Message ${n}`, { messageId: `m${n}` }));
    }
    await client.get('messageAck', 10);
    const expected = Array.from({ length: 10 }, (_, n) => `m${n}`);
    assert.deepEqual(client.named('messageAck').map((ack) => ack.clientMessageId), expected);
    const own = await client.wait(() => {
      const broadcasts = client.named('messageBroadcast').filter((one) => one.senderId !== ELIZA);
      return broadcasts.length === 10 && broadcasts;
    }, 'ten broadcasts');
    assert.deepEqual(own.map((one) => one.clientMessageId), expected, 'in the order of sending');
    await client.get('messageComplete', 10);
  });

  test('is stored once, however often its messageId is sent', async () => {
    const { session, client } = await enter();
    const messageId = randomUUID();
    const first = await client.say(session, 'Only once.', { messageId });
    await client.idle(session.sessionId);
    const before = client.ofRoom(session.sessionId).length;
    const again = connect();
    await again.join(session.sessionId);
    assert.deepEqual(await client.say(session, 'Only once.', { messageId }), first);
    assert.deepEqual(await again.say(session, 'Only once.', { messageId }), first);
    await api.settle(client);
    assert.equal(client.ofRoom(session.sessionId).length, before, 'the room gets no event');
    assert.equal((await api.history(session)).length, 2);
    assert.equal((await api.done('GET', `/sessions/${session.sessionId}`)).renewalCount, 1);

    // The key is the same as over HTTP, and another message may not use it.
    const { status, body } = await api.call('POST', `/sessions/${session.sessionId}/messages`, {
      content: 'Only once.',
      clientMessageId: messageId,
    });
    assert.equal(status, 201);
    assert.equal(body.userMessage.id, first.messageId);
    await client.refusal('2', payload(session, 'Something else.', { messageId }));
    assert.equal((await api.history(session)).length, 2);
  });

  test('without a messageId is acknowledged too', async () => {
    const { session, client } = await enter();
    const ack = await client.say(session, 'Hello.');
    assert.equal(ack.clientMessageId ?? null, null);
    assert.match(ack.messageId, UUID);
    const broadcast = await client.get('messageBroadcast');
    assert.ok(!('clientMessageId' in broadcast));
  });

  test('needs no join, and is not broadcast to sockets outside the room', async () => {
    const session = await api.create();
    const client = connect();
    await client.say(session, 'Hello.', { messageId: 'm' });
    await api.settle(client);
    assert.deepEqual(client.ofRoom(session.sessionId), []);
    assert.equal((await api.history(session)).at(0).content, 'Hello.');
  });

  test('is accepted only from the session’s user', async () => {
    const { session, client } = await enter();
    const senders = [randomUUID(), ELIZA, 'ada', '', 7, null, undefined, [session.userId]];
    for (const senderId of senders) {
      const refusal = await client.refusal('2', payload(session, 'Hello.', { senderId }));
      assertKeys(refusal, ['error']);
    }
    assert.deepEqual(await api.history(session), []);
    await client.say(session, 'Hello.', { senderId: session.userId.toUpperCase() });
  });

  test('is validated like a POST', async () => {
    const { session, client } = await enter();
    const wrong = [
      { message: '' },
      { message: null },
      { message: undefined },
      { message: 7 },
      { message: 'x'.repeat(4001) },
      { metadata: 'x' },
      { metadata: { x: 'x'.repeat(10_240) } },
      { attachments: {} },
      { attachments: [{ type: 'image' }] },
      { messageId: '' },
      { messageId: 7 },
      { messageId: 'a b' },
      { messageId: 'x'.repeat(256) },
    ];
    for (const fields of wrong) {
      await client.refusal('2', payload(session, 'Hello.', fields));
    }
    assert.deepEqual(await api.history(session), []);
    await client.say(session, '\u{1F600}'.repeat(4000));
  });

  test('has its sender’s name, else the session’s username, else "User"', async () => {
    const names = [
      [{}, { senderName: 'Ada' }, 'Ada'],
      [{ metadata: { username: 'countess' } }, { senderName: 'Ada' }, 'Ada'],
      [{ metadata: { username: 'countess' } }, {}, 'countess'],
      [{ metadata: { username: 7 } }, {}, 'User'],
      [{}, {}, 'User'],
    ];
    for (const [more, fields, name] of names) {
      const { session, client } = await enter(undefined, more);
      await client.say(session, 'Hello.', fields);
      await client.idle(session.sessionId);
      const [user, reply] = client.named('messageBroadcast');
      assert.equal(user.senderName, name);
      assert.equal(reply.senderName, 'Eliza');

      // The name is stored with the message.
      const stream = await follow(session, { query: '?after=0' });
      assert.deepEqual(stream.named('messageBroadcast'), [user, reply]);
    }
  });

  test('is stored with attachments and metadata', async () => {
    const { session, client } = await enter(undefined, { metadata: { platform: 'web' } });
    const attachments = [{ type: 'image', url: 'https://example.com/cat.png', alt: 'A cat' }];
    await client.say(session, 'Look.', { attachments, metadata: { tag: 1 } });
    assert.deepEqual((await client.get('messageBroadcast')).attachments, attachments);
    const [stored] = await api.history(session);
    assert.deepEqual(stored.attachments, attachments);
    const { sessionId } = session;
    assert.deepEqual(stored.metadata, { platform: 'web', tag: 1, sessionId });
  });

  test('waits behind earlier ones, and the input is enabled once', async () => {
    const { session, client } = await enter();
    for (let n = 0; n < 12; n += 1) client.emit('2', payload(session, `Message ${n}`));
    await client.get('messageComplete', 12);
    await api.settle(client);
    const events = client.ofRoom(session.sessionId);
    const state = events.filter(({ name }) => name === 'controlMessage').map(({ data }) => data.action);
    assert.ok(state.length >= 2 && state.length % 2 === 0);
    state.forEach((action, n) => assert.equal(action, n % 2 ? 'enable_input' : 'disable_input'));
    assert.equal(events.at(-1).data.action, 'enable_input');

    const broadcasts = client.named('messageBroadcast').filter((one) => one.sessionId === session.sessionId);
    const asked = broadcasts.filter(({ senderId }) => senderId !== ELIZA).map(({ id }) => id);
    const answered = broadcasts.filter(({ senderId }) => senderId === ELIZA);
    assert.deepEqual(answered.map(({ inReplyTo }) => inReplyTo), asked, 'in order');
  });
});
