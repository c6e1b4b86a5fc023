// Sockets and an event stream that are open when the server at SESSIOND_URL stops. Once all of them
// listen, the file named by SESSIOND_READY is written; then each must be closed properly.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';

import { Api, Client, EventStream, TRANSPORTS } from './sockets.mjs';

const url = process.env.SESSIOND_URL;
const api = new Api(url);

const session = await api.create();
const sockets = Object.values(TRANSPORTS).map((transports) => new Client(url, { transports }));
const stranger = new Client(url, { transports: ['websocket'] });
for (const socket of sockets) await socket.join(session.sessionId);
await stranger.get('connection_established');
const stream = await EventStream.open(url, session);
await stream.get('state');
await api.post(session, 'Good night.');
for (const listener of [...sockets, stream]) await listener.idle(session.sessionId);

const metrics = await (await fetch(`${url}/metrics`)).text();
assert.match(metrics, new RegExp(`^sessiond_sockets_open ${sockets.length + 1}$`, 'm'));

await writeFile(process.env.SESSIOND_READY, '');
for (const socket of [...sockets, stranger]) {
  await socket.get('disconnect');
  assert.ok(!socket.socket.connected);
}
await stream.end();
for (const listener of [...sockets, stream]) {
  const [last] = listener.ofRoom(session.sessionId).slice(-1);
  assert.equal(last.data.action, 'enable_input', 'the session itself has not ended');
}
