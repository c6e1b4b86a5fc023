// A browser and the published Socket.IO client behind a reverse proxy. SESSIOND_URL is the proxy's
// address, and SESSIOND_TOKEN the server's token. The server's agent SESSIOND_AGENT calls
// SESSIOND_STAND_IN, where this file answers, and SESSIOND_ORIGIN is the only origin in the
// server's CORS_ORIGIN.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Api, Client, EventStream, TRANSPORTS, assertTurn } from './sockets.mjs';

const url = process.env.SESSIOND_URL;
const token = process.env.SESSIOND_TOKEN;
const agentId = process.env.SESSIOND_AGENT;
const standIn = process.env.SESSIOND_STAND_IN;
const allowed = process.env.SESSIOND_ORIGIN;
assert.ok(url && token && agentId && standIn && allowed, 'SESSIOND_URL must name a running proxy');

// What a browser adds to each call of a page that the proxy's address serves.
const headers = { Origin: url, 'X-API-KEY': token };
const api = new Api(url, headers);

const open = [];
after(() => open.forEach((one) => one.close()));

/** An agent that sends one word, and the second when `finish` is called. */
class SlowAgent {
  #finish;

  async start() {
    this.server = createServer(async (call, answer) => {
      call.resume();
      const finish = new Promise((resolve) => {
        this.#finish = resolve;
      });
      answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
      answer.write('event: chunk\ndata: {"chunk": "One "}\n\n');
      await finish;
      answer.end('event: chunk\ndata: {"chunk": "two."}\n\nevent: done\ndata: {}\n\n');
    });
    const { hostname, port } = new URL(standIn);
    this.server.listen(Number(port), hostname);
    await once(this.server, 'listening');
  }

  finish() {
    this.#finish();
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const agent = new SlowAgent();
before(() => agent.start());
open.push(agent);

/** Reads a response until it contains a text, and returns what has arrived. */
async function readUntil(reader, text, before = '') {
  let read = before;
  while (!read.includes(text)) {
    const { done, value } = await reader.read();
    assert.ok(!done, `the stream ended without ${text}: ${read}`);
    read += value;
  }
  return read;
}

/** Makes a call from another address of this machine, like a client on another machine. */
async function callFrom(localAddress, path, more = {}) {
  const call = request(new URL(path, url), { localAddress, headers: more });
  call.end();
  const [response] = await once(call, 'response');
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

describe('behind a proxy', { timeout: 60_000 }, () => {
  test('a page of the proxy may create a session, a foreign one may not', async () => {
    await api.create();
    // The scheme is ignored, since proxies terminate TLS.
    for (const Origin of [url.replace('http:', 'https:'), allowed]) {
      const { status } = await api.call('GET', '/sessions/health', undefined, { Origin });
      assert.equal(status, 200, Origin);
    }
    const { hostname } = new URL(url);
    for (const Origin of ['https://foreign.example', `http://${hostname}`, `http://${hostname}:1`]) {
      const { status } = await api.call('POST', '/sessions', {}, { Origin });
      assert.equal(status, 403, Origin);
    }
  });

  test('a message is answered over http', async () => {
    const session = await api.create();
    const { agentResponse } = await api.post(session, 'Hello.');
    assert.ok(agentResponse.text);
  });

  test('a reply arrives chunk by chunk over sse and on the event stream', async () => {
    const session = await api.create({ agentId });
    const events = await EventStream.open(url, session, { headers, isProxied: true });
    open.push(events);
    await events.get('state');
    const response = await fetch(`${url}/api/messaging/sessions/${session.sessionId}/messages`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify({ content: 'Hello.', transport: 'sse' }),
    });
    assert.equal(response.status, 200);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    // The agent sends nothing more until both have arrived.
    const first = await readUntil(reader, '"One "');
    assert.equal((await events.get('messageStreamChunk')).chunk, 'One ');
    assert.ok(!first.includes('two.'));
    agent.finish();
    await readUntil(reader, '"One two."', first);
    await events.idle(session.sessionId);
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`a socket by ${name} receives a turn`, async () => {
      const session = await api.create();
      const client = new Client(url, {
        transports,
        extraHeaders: { Origin: url },
        auth: { apiKey: token },
      });
      open.push(client);
      await client.get('connect');
      const { engine } = client.socket.io;
      if (name === 'upgrade') {
        if (engine.transport.name !== 'websocket') {
          await new Promise((resolve) => engine.once('upgrade', resolve));
        }
        assert.equal(engine.transport.name, 'websocket');
      }
      await client.join(session.sessionId);
      await client.say(session, 'Hello.');
      await client.idle(session.sessionId);
      assertTurn(client.ofRoom(session.sessionId), session, 'Hello.');
    });
  }

  test('bodies up to the limit of the server reach it', async () => {
    const { sessionId } = await api.create();
    const content = 'x'.repeat(2 * 1024 * 1024 - 100);
    const { status, body } = await api.call('POST', `/sessions/${sessionId}/messages`, { content });
    assert.equal(status, 400);
    assert.equal(body.success, false, 'the server refuses it');
  });

  test('a body beyond the limit is refused with 413', async () => {
    const { sessionId } = await api.create();
    const content = 'x'.repeat(3 * 1024 * 1024);
    const { status } = await api.call('POST', `/sessions/${sessionId}/messages`, { content });
    assert.equal(status, 413);
  });

  test('the server learns the address of the client', async () => {
    // The test that started this checks the server's audit lines.
    assert.equal(await callFrom('127.0.0.2', '/plain'), 401);
    const invented = { 'X-Forwarded-For': '203.0.113.9' };
    assert.equal(await callFrom('127.0.0.2', '/invented', invented), 401);
  });
});
