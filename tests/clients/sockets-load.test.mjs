// Many sockets, and sockets that reconnect: nothing is lost, and nothing arrives twice.
// SESSIOND_URL names the server.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  Api,
  Client,
  ELIZA,
  EventStream,
  TRANSPORTS,
  assertTurn,
  comparable,
  payload,
} from './sockets.mjs';

const url = process.env.SESSIOND_URL;
assert.ok(url, 'SESSIOND_URL must name a running server');

const api = new Api(url);
const OPTIONS = { timeout: 120_000 };

const open = [];
after(() => open.forEach((one) => one.close()));

function connect(options = { transports: ['websocket'] }) {
  const client = new Client(url, options);
  open.push(client);
  return client;
}

async function follow(session, options) {
  const stream = await EventStream.open(url, session, options);
  open.push(stream);
  return stream;
}

// ---- Many -------------------------------------------------------------------------------------

describe('connections that send immediately', OPTIONS, () => {
  /** Connects, joins and sends a message, without waiting in between. */
  async function visit(transports) {
    const session = await api.create();
    const client = new Client(url, { transports });
    const messageId = randomUUID();
    try {
      client.emit('join', { roomId: session.sessionId });
      client.emit('2', payload(session, 'Hello.', { messageId }));
      await client.idle(session.sessionId);
      const ack = await client.get('messageAck');
      const { user } = assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
      assert.equal(ack.messageId, user.id);
      assert.equal(ack.clientMessageId, messageId);
      assert.equal(user.clientMessageId, messageId);
    } finally {
      client.close();
    }
  }

  const numbers = { websocket: 1000, polling: 100, upgrade: 100 };
  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`${numbers[name]} by ${name} lose nothing`, async () => {
      for (let done = 0; done < numbers[name]; done += 100) {
        await Promise.all(Array.from({ length: 100 }, () => visit(transports)));
      }
    });
  }

  test('a hundred sockets in one room receive the same events', async () => {
    const session = await api.create();
    const clients = Array.from({ length: 100 }, () => connect());
    await Promise.all(clients.map((client) => client.join(session.sessionId)));
    for (let n = 0; n < 5; n += 1) await api.post(session, `Message ${n}`);
    await Promise.all(clients.map((client) => client.idle(session.sessionId, 5)));
    const [first, ...others] = clients.map((client) => client.ofRoom(session.sessionId));
    for (const other of others) assert.deepEqual(other, first);
    for (const client of clients) client.close();
  });
});

// ---- Coming and going -------------------------------------------------------------------------

describe('clients that reconnect', OPTIONS, () => {
  const MESSAGES = 20;

  /** Returns the parts of a message that broadcasts and the history share. */
  const seen = ({ id, createdAt, text, content }) => [
    id,
    typeof createdAt === 'number' ? createdAt : Date.parse(createdAt),
    text ?? content,
  ];

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`by ${name} get what they missed, each message once`, async () => {
      const session = await api.create();
      const client = connect({ transports, reconnection: true, reconnectionDelay: 20 });
      // The pages that a client requests after a reconnect.
      const pages = [];
      client.socket.on('connect', () => client.emit('join', { roomId: session.sessionId }));
      await client.get('room_joined');

      for (let n = 0; n < MESSAGES; n += 1) {
        if (n % 7 === 3) client.socket.io.engine.close();
        await api.post(session, `Message ${n}`);
        if (n % 7 !== 5) continue;
        const times = Math.floor(n / 7) + 2;
        await client.get('room_joined', times);
        pages.push(...(await api.history(session)));
      }
      await api.settle(client);

      const history = (await api.history(session)).map(seen);
      assert.equal(history.length, 2 * MESSAGES);
      const live = client.named('messageBroadcast').filter((one) => one.sessionId === session.sessionId);
      assert.equal(new Set(live.map(({ id }) => id)).size, live.length, 'nothing arrives twice');
      assert.ok(live.length < 2 * MESSAGES, 'the client was away');
      const all = new Map([...live, ...pages].map((message) => [message.id, seen(message)]));
      const inOrder = [...all.values()].sort(([, a], [, b]) => a - b);
      assert.deepEqual(inOrder, history, 'nothing is lost between the pages and the live events');

      // The event stream has the same messages from any point on.
      for (const at of [0, 1, 7, history.length - 1, history.length]) {
        const after = at === 0 ? 0 : history[at - 1][1];
        const ways = [{ query: `?after=${after}` }, { headers: { 'Last-Event-ID': `${after}` } }];
        for (const way of ways) {
          const stream = await follow(session, way);
          await stream.get('state');
          assert.deepEqual(stream.named('messageBroadcast').map(seen), history.slice(at));
          assert.equal(stream.events.at(-1).name, 'state', 'the state comes last');
          assert.equal(stream.events.at(-1).id, `${history.at(-1)[1]}`);
          stream.close();
        }
      }
    });
  }

  test('resume an event stream in mid-conversation without a gap', async () => {
    const session = await api.create();
    let isOver = false;
    const sending = (async () => {
      for (let n = 0; n < MESSAGES; n += 1) await api.post(session, `Message ${n}`);
      isOver = true;
    })();

    const broadcasts = [];
    let last = '0';
    while (true) {
      const wasOver = isOver;
      const stream = await follow(session, { headers: { 'Last-Event-ID': last } });
      await stream.get('state');
      if (!wasOver) await sleep(Math.random() * 30);
      stream.close();
      const events = stream.events.filter(({ id }) => id !== undefined);
      broadcasts.push(...stream.events.filter(({ name }) => name === 'messageBroadcast'));
      last = events.at(-1).id;
      if (wasOver) break;
    }
    await sending;
    const history = await api.history(session);
    assert.deepEqual(broadcasts.map(({ data }) => seen(data)), history.map(seen));
  });

  test('receive the same events on a stream as on a socket', async () => {
    const session = await api.create();
    const client = connect();
    await client.join(session.sessionId);
    const stream = await follow(session);
    assert.deepEqual((await stream.get('state')).inputEnabled, true);
    assert.equal(stream.events[0].id, '0', 'there is no message yet');
    for (let n = 0; n < 5; n += 1) client.emit('2', payload(session, `Message ${n}`));
    await Promise.all([client, stream].map((log) => log.get('messageComplete', 5)));
    await api.settle(client);
    assert.deepEqual(
      comparable(stream.ofRoom(session.sessionId)),
      comparable(client.ofRoom(session.sessionId)),
    );
  });

  test('must name a valid point', async () => {
    const session = await api.create();
    await api.post(session, 'Hello.');
    const path = `/sessions/${session.sessionId}/events`;
    const wrong = [
      [`${path}?after=yesterday`, {}],
      [path, { 'Last-Event-ID': 'yesterday' }],
      [`${path}?after=0`, { 'Last-Event-ID': 'yesterday' }],
      [path, { 'Last-Event-ID': '1.5' }],
    ];
    for (const [address, headers] of wrong) {
      const { status, body } = await api.call('GET', address, undefined, headers);
      assert.equal(status, 400, address);
      assert.equal(body.error.type, 'InvalidPaginationError');
    }
    const unknown = await api.call('GET', `/sessions/${randomUUID()}/events`);
    assert.equal(unknown.status, 404);

    const [, reply] = await api.history(session);
    const stream = await follow(session, {
      query: '?after=0',
      headers: { 'Last-Event-ID': `${Date.parse(reply.createdAt) - 1}` },
    });
    await stream.get('state');
    assert.deepEqual(stream.named('messageBroadcast').map(({ id }) => id), [reply.id]);
  });
});
