// Helpers of the socket tests: a client that records what it receives, a reader of event streams,
// and calls of the HTTP API.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { io } from 'socket.io-client';

export const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';
export const NIL = '00000000-0000-0000-0000-000000000000';
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** The client's transports; by default it begins with polling. */
export const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], upgrade: undefined };

/** Generous, since a test machine may be busy. */
const PATIENCE = 20_000;

/** Received events in order, and those who wait for more. */
class Log {
  events = [];
  ended = false;
  #waiting = new Set();

  push(event) {
    this.events.push(event);
    this.wake();
  }

  wake() {
    for (const look of [...this.#waiting]) look();
  }

  /** Waits until `found` finds something in the events, and returns it. */
  async wait(found, what) {
    const early = found(this.events);
    if (early) return early;
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = () => {
        const late = found(this.events);
        if (!late) return;
        stop();
        resolve(late);
      };
      const timer = setTimeout(() => {
        stop();
        const came = JSON.stringify(this.events.slice(-20));
        reject(new Error(`${what} never came; the last that came: ${came.slice(0, 4000)}`));
      }, PATIENCE);
      this.#waiting.add(look);
    });
  }

  named(name) {
    return this.events.filter((event) => event.name === name).map(({ data }) => data);
  }

  names() {
    return this.events.map(({ name }) => name);
  }

  /** Waits for the `count`th event of a name (from 1), and returns its payload. */
  async get(name, count = 1) {
    return this.wait(() => this.named(name)[count - 1], `${name} no. ${count}`);
  }

  /** Returns the names of a room's events, with the actions of control messages. */
  ofRoom(id) {
    const personal = ['channel_joined', 'room_joined', 'messageAck', 'state'];
    return this.events.filter(
      ({ name, data }) => !personal.includes(name) && [data?.sessionId, data?.channelId].includes(id),
    );
  }

  /** Waits until the session has become idle `count` times. */
  async idle(id, count = 1) {
    const isIdle = ({ name, data }) => name === 'controlMessage' && data.action === 'enable_input';
    return this.wait(
      () => this.ofRoom(id).filter(isIdle).length >= count,
      `enable_input no. ${count}`,
    );
  }
}

/** A socket that records everything it receives. */
export class Client extends Log {
  constructor(url, options = {}) {
    super();
    this.socket = io(url, { forceNew: true, reconnection: false, ...options });
    this.socket.onAny((name, data) => this.push({ name, data }));
    for (const name of ['connect', 'disconnect', 'connect_error']) {
      this.socket.on(name, (data) => this.push({ name, data: data ?? {} }));
    }
  }

  emit(name, ...data) {
    this.socket.emit(name, ...data);
  }

  async join(roomId) {
    const count = this.named('room_joined').length + 1;
    this.emit('join', { roomId });
    return this.get('room_joined', count);
  }

  /** Sends a message as the session's user, and returns the acknowledgement. */
  async say(session, message, more = {}) {
    const count = this.named('messageAck').length + 1;
    this.emit('message', { type: 2, payload: payload(session, message, more) });
    return this.get('messageAck', count);
  }

  /** Sends something that is refused, and returns the error. */
  async refusal(name, ...data) {
    const count = this.named('messageError').length + 1;
    this.emit(name, ...data);
    return this.get('messageError', count);
  }

  close() {
    this.socket.close();
  }
}

export function payload(session, message, more = {}) {
  return { channelId: session.channelId, senderId: session.userId, message, ...more };
}

/** Reads a stream of server-sent events. */
export class EventStream extends Log {
  #abort = new AbortController();

  static async open(url, session, { query = '', headers = {}, isProxied = false } = {}) {
    const stream = new EventStream();
    const address = `${url}/api/messaging/sessions/${session.sessionId}/events${query}`;
    const response = await fetch(address, { headers, signal: stream.#abort.signal });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/event-stream\b/);
    assert.equal(response.headers.get('cache-control'), 'no-cache');
    // For proxies: nginx obeys it and does not pass it on.
    if (!isProxied) assert.equal(response.headers.get('x-accel-buffering'), 'no');
    stream.#read(response.body).then(
      () => stream.#end(),
      (error) => stream.#end(error),
    );
    return stream;
  }

  async #read(body) {
    let text = '';
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const events = text.split('\n\n');
      text = events.pop();
      for (const event of events) this.#parse(event);
    }
  }

  #parse(text) {
    const fields = {};
    for (const line of text.split('\n')) {
      const at = line.indexOf(':');
      if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trimStart();
    }
    if (!fields.event) return;
    this.push({ name: fields.event, data: JSON.parse(fields.data), id: fields.id });
  }

  #end(error) {
    this.error = error;
    this.ended = true;
    this.wake();
  }

  /** Waits until the server ends the stream. */
  async end() {
    await this.wait(() => this.ended, 'the end of the stream');
    assert.equal(this.error, undefined, 'the stream ends properly');
  }

  close() {
    this.#abort.abort();
  }
}

/** The part of the HTTP API that these tests need. */
export class Api {
  constructor(url, headers = {}) {
    this.url = url;
    this.headers = headers;
  }

  async call(method, path, body, headers = {}) {
    const response = await fetch(`${this.url}/api/messaging${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...this.headers, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, body: await (isJson ? response.json() : response.text()) };
  }

  async done(...call) {
    const { status, body } = await this.call(...call);
    assert.ok(status < 300, `${call.slice(0, 2)}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  create(more = {}) {
    return this.done('POST', '/sessions', { agentId: ELIZA, userId: randomUUID(), ...more });
  }

  post(session, content, more = {}) {
    const message = { content, transport: 'http', ...more };
    return this.done('POST', `/sessions/${session.sessionId}/messages`, message);
  }

  remove(session) {
    return this.done('DELETE', `/sessions/${session.sessionId}`);
  }

  renew(session) {
    return this.done('POST', `/sessions/${session.sessionId}/renew`);
  }

  patch(session, timeoutConfig) {
    return this.done('PATCH', `/sessions/${session.sessionId}/timeout`, timeoutConfig);
  }

  /** Returns all messages, oldest first. */
  async history(session) {
    const all = [];
    let query = '?limit=100';
    for (;;) {
      const page = await this.done('GET', `/sessions/${session.sessionId}/messages${query}`);
      all.unshift(...page.messages.reverse());
      if (!page.hasMore) return all;
      query = `?limit=100&before=${page.cursors.before}`;
    }
  }

  /** Waits until all earlier events of other rooms must have reached the client. */
  async settle(client) {
    const session = await this.create();
    await client.join(session.sessionId);
    await this.post(session, 'Did you hear all?');
    await client.idle(session.sessionId);
  }
}

/** Checks the events of one turn in a room, and returns the two broadcasts. */
export function assertTurn(events, session, text) {
  const names = events.map(({ name, data }) => (name === 'controlMessage' ? data.action : name));
  const chunks = events.filter(({ name }) => name === 'messageStreamChunk').map(({ data }) => data);
  assert.ok(chunks.length > 0, 'a reply has chunks');
  assert.deepEqual(names, [
    'messageBroadcast',
    'sessionRenewed',
    'disable_input',
    ...chunks.map(() => 'messageStreamChunk'),
    'messageBroadcast',
    'messageComplete',
    'enable_input',
  ]);

  const id = session.sessionId;
  const [user, renewed, disable] = events.map(({ data }) => data);
  const [reply, complete, enable] = events.slice(-3).map(({ data }) => data);
  assert.equal(user.text, text);
  assert.equal(user.senderId, session.userId);
  assertKeys(renewed, ['sessionId', 'expiresAt', 'renewalCount']);
  assert.match(renewed.expiresAt, TIME);
  assert.ok(renewed.renewalCount > 0);
  assert.deepEqual(disable, { action: 'disable_input', channelId: id, roomId: id });
  chunks.forEach((chunk, index) => {
    const { chunk: piece, ...rest } = chunk;
    assert.equal(typeof piece, 'string');
    assert.deepEqual(rest, { messageId: reply.id, index, agentId: ELIZA, channelId: id });
  });
  assert.equal(chunks.map(({ chunk }) => chunk).join(''), reply.text, 'the chunks are the reply');
  assertBroadcast(reply, session, { senderId: ELIZA, senderName: 'Eliza', source: 'agent_response' });
  assert.equal(reply.inReplyTo, user.id);
  assert.ok(reply.createdAt > user.createdAt);
  assert.deepEqual(complete, { channelId: id, sessionId: id });
  assert.deepEqual(enable, { action: 'enable_input', channelId: id, roomId: id });
  return { user, reply };
}

/** Checks a messageBroadcast except its text; `expected` also names the optional fields. */
export function assertBroadcast(broadcast, session, expected) {
  const { id, text, createdAt, inReplyTo, ...rest } = broadcast;
  assert.match(id, UUID);
  assert.equal(typeof text, 'string');
  assert.ok(Number.isInteger(createdAt) && Math.abs(Date.now() - createdAt) < 600_000, 'epoch ms');
  if (expected.source === 'agent_response') assert.match(inReplyTo, UUID);
  else assert.equal(inReplyTo, undefined);
  assert.deepEqual(rest, {
    channelId: session.channelId,
    roomId: session.channelId,
    sessionId: session.sessionId,
    serverId: NIL,
    messageServerId: NIL,
    metadata: { sessionId: session.sessionId },
    ...expected,
  });
}

export function assertKeys(object, keys) {
  assert.deepEqual(Object.keys(object).sort(), [...keys].sort());
}

/** Returns names and payloads, without what the event stream adds and what only the sender gets. */
export function comparable(events) {
  return events.map(({ name, data: { clientMessageId: _, ...data } }) => ({ name, data }));
}
