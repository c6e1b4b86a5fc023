// Sockets that send invalid or excessive input: each gets an error or is closed, and no other
// client is affected. SESSIOND_URL names the server.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Api, Client, TRANSPORTS, assertTurn, payload } from './sockets.mjs';

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

describe('hostile input', OPTIONS, () => {
  /** Runs `attack` while another client sends messages and checks complete turns. */
  async function unharmed(attack) {
    const session = await api.create();
    const bystander = connect();
    await bystander.join(session.sessionId);
    let isOver = false;
    let turns = 0;
    const talking = (async () => {
      do {
        await bystander.say(session, 'Still here.');
        turns += 1;
        await bystander.idle(session.sessionId, turns);
        const health = await api.call('GET', '/sessions/health');
        assert.equal(health.status, 200);
        await sleep(10);
      } while (!isOver);
    })();
    try {
      await attack();
    } finally {
      isOver = true;
      await talking;
    }
    await bystander.say(session, 'Still here.');
    await bystander.idle(session.sessionId, turns + 1);
    assert.ok(bystander.socket.connected);
    assert.deepEqual(bystander.named('messageError'), []);
    const events = bystander.ofRoom(session.sessionId);
    assertTurn(events.slice(events.findLastIndex(({ data }) => data.source === 'socketio_client')),
      session, 'Still here.');
    bystander.close();
  }

  function deep(levels) {
    let value = [];
    for (let n = 0; n < levels; n += 1) value = n % 2 ? [value] : { roomId: value };
    return value;
  }

  const big = 'x'.repeat(500 * 1024);
  const room = randomUUID();
  const nonsense = [
    [],
    [null],
    [0],
    [-1e308],
    [true],
    [''],
    ['join'],
    [[]],
    [[[[]], null]],
    [{}],
    [{ roomId: null }],
    [{ roomId: 7, channelId: {} }],
    [{ roomId: '../../etc/passwd' }],
    [{ roomId: '\u0000\ud800' }],
    [{ type: 0 }],
    [{ type: 3, payload: { roomId: room } }],
    [{ type: '__proto__', payload: null }],
    [{ type: 2, payload: 'x' }],
    [{ type: 2, payload: { roomId: room, senderId: room, message: 'x' } }],
    [{ type: 1e300, payload: { type: 1 } }],
    [deep(100)],
    [deep(1000)],
    [{ type: 2, payload: deep(1000) }],
    [big],
    [{ roomId: big }],
    [{ type: 2, payload: { roomId: room, senderId: big, message: big } }],
    [Array.from({ length: 100_000 }, () => 0)],
    [Buffer.from('binary')],
    [{ roomId: Buffer.alloc(100_000), type: Buffer.alloc(0) }],
    [{ type: 2, payload: { roomId: room, message: Buffer.alloc(1), senderId: Buffer.alloc(1) } }],
    [{ roomId: 'x' }, 'more', 'and more', null],
  ];

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`by ${name} each invalid event is answered with an error`, async () => {
      const client = connect({ transports });
      await unharmed(async () => {
        for (const event of ['join', 'message', '1', '2']) {
          for (const [n, data] of nonsense.entries()) {
            const refusal = await client.refusal(event, ...data);
            assert.deepEqual(Object.keys(refusal), ['error'], `${event} ${n}`);
            assert.ok(refusal.error.length < 500, 'the input is not echoed');
          }
        }
      });
      const session = await api.create();
      await client.join(session.sessionId);
      await client.say(session, 'And I am not disturbed either.');
      await client.idle(session.sessionId);
    });

    test(`by ${name} unknown events and invalid leaves have no effect`, async () => {
      const client = connect({ transports });
      await client.get('connect');
      await unharmed(async () => {
        for (const event of ['', '0', '3', 'constructor', '__proto__', 'leave', 'room_joined']) {
          for (const data of nonsense) client.emit(event, ...data);
          await api.settle(client);
        }
      });
      assert.ok(client.socket.connected);
    });

    test(`by ${name} a message of more than 1 MiB closes its own socket`, async () => {
      const client = connect({ transports });
      await client.get('connect');
      await unharmed(async () => {
        client.emit('message', { type: 2, payload: { roomId: room, message: big + big + big } });
        await client.get('disconnect');
      });
    });
  }

  test('invalid packets close at most their own socket', async () => {
    const packets = [
      '', '2', '2[', '2{}', '2[]', '2[null]', '2[7]', '2["disconnect"]', '2["connect"]', '9', '0', '1',
      '3', '30[]', '399999999999999999999[]', '4{"message":"x"}', '45-["x"]', '451-["join"]',
      '451-["join",{"_placeholder":true,"num":9}]', '5999999999-["join"]', '2/admin,["join"]',
      '0/admin,{}', '0/admin', `0/${'x'.repeat(1000)}`, '2-1["join",{}]', '\u0000', '2["join",{"roomId":"\\ud800"}]',
    ];
    packets.push(`2["join",${'['.repeat(100_000)}${']'.repeat(100_000)}]`);
    await unharmed(async () => {
      for (const packet of packets) {
        const client = connect();
        await client.get('connect');
        client.socket.io.engine.write(packet);
        client.socket.io.engine.write(Buffer.from('a buffer without an announcement'));
        client.socket.io.engine.write(packet);
        await sleep(20);
        client.close();
      }
    });
  });

  test('a socket is in at most 256 rooms', async () => {
    const sessions = await Promise.all(Array.from({ length: 300 }, () => api.create()));
    const client = connect();
    await unharmed(async () => {
      for (const { sessionId } of sessions.slice(0, 256)) await client.join(sessionId);
      for (const { sessionId } of sessions.slice(256)) {
        await client.refusal('join', { roomId: sessionId });
      }
      // It may repeat a join, and join another room after leaving one.
      await client.join(sessions[0].sessionId);
      client.emit('leave', { roomId: sessions[0].sessionId });
      await client.join(sessions[299].sessionId);
      await client.refusal('join', { roomId: sessions[0].sessionId });
    });
    await Promise.all(sessions.map((session) => api.post(session, 'Who hears this?')));
    const heard = () => new Set(client.named('messageComplete').map(({ sessionId }) => sessionId));
    await client.wait(() => heard().size === 256, 'the turns of all rooms');
    const joined = sessions.filter((_, n) => (n > 0 && n < 256) || n === 299);
    assert.deepEqual([...heard()].sort(), joined.map(({ sessionId }) => sessionId).sort());
  });

  test('a burst of joins of rooms that do not exist is refused, one by one', async () => {
    const client = connect();
    await unharmed(async () => {
      for (let n = 0; n < 200; n += 1) client.emit('join', { roomId: randomUUID() });
      await client.get('messageError', 200);
    });
    assert.deepEqual(client.named('room_joined'), []);
    assert.ok(client.socket.connected);
  });

  test('a flood does not affect other clients', async () => {
    const session = await api.create();
    const client = connect();
    await client.join(session.sessionId);
    await unharmed(async () => {
      for (let n = 0; n < 5000; n += 1) client.emit('2', payload(session, 'Flood.'));
      await client.wait(
        () => !client.socket.connected || client.named('messageError').length >= 100,
        'an end of the flood',
      );
    });
    client.close();
  });

  test('a burst that is too long closes its own socket with a disconnect', async () => {
    const client = connect();
    await client.get('connect');
    await unharmed(async () => {
      for (let n = 0; n < 5000; n += 1) client.emit('join', { roomId: randomUUID() });
      await client.get('disconnect');
    });
  });

  test('a socket that reads too late is closed, not left with a gap', async () => {
    const sessions = await Promise.all(Array.from({ length: 32 }, () => api.create()));
    // A polling client that does not poll, written by hand.
    const address = `${url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(address)).text()).slice(1));
    const poll = async () => {
      const response = await fetch(`${address}&sid=${sid}`);
      assert.equal(response.status, 200);
      return (await response.text()).split('\u001e');
    };
    const send = async (...packets) => {
      const body = packets.join('\u001e');
      const response = await fetch(`${address}&sid=${sid}`, { method: 'POST', body });
      assert.equal(await response.text(), 'ok');
    };
    const joins = sessions.map(({ sessionId: roomId }) => `42${JSON.stringify(['join', { roomId }])}`);
    await send('40');
    const read = await poll();
    await send(...joins);
    const hasJoined = (packet) => packet.startsWith('42["room_joined"');
    while (read.filter(hasJoined).length < sessions.length) read.push(...(await poll()));

    await unharmed(async () => {
      const talk = async (session) => {
        for (let n = 0; n < 8; n += 1) await api.post(session, 'My mother never listens to me.');
      };
      await Promise.all(sessions.map(talk));
    });
    // The socket was closed: polling fails, so its client knows that it missed something.
    for (;;) {
      const response = await fetch(`${address}&sid=${sid}`);
      const text = await response.text();
      if (response.status !== 200) {
        assert.deepEqual(JSON.parse(text), { code: '1', message: 'Session ID unknown' });
        break;
      }
      read.push(...text.split('\u001e'));
    }
    const turns = read.filter((packet) => packet.startsWith('42["messageComplete"')).length;
    assert.ok(turns < 8 * sessions.length, 'the socket was closed');
  });

  test('a socket that does not read does not affect other clients', async () => {
    const session = await api.create();
    const client = connect();
    await client.join(session.sessionId);
    const listener = connect();
    await listener.join(session.sessionId);
    const raw = client.socket.io.engine.transport.ws._socket;
    raw.pause();
    await unharmed(async () => {
      for (let n = 0; n < 30; n += 1) await api.post(session, 'x'.repeat(4000));
    });
    await listener.idle(session.sessionId, 30);
    raw.resume();
    client.close();
  });
});
