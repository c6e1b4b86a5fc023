// Lost connections and answers, busy servers and restarts: nothing is stored twice, and no text or
// message is lost or doubled.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { ELIZA, Events, Gate, OPTIONS, STORYTELLER, Server, Storyteller, load, until } from './servers.mjs';

let agent;
let server;
let library;
let gate;
let client;
/** A client whose connections nothing disturbs. */
let direct;

before(async () => {
  agent = await Storyteller.open();
  server = await Server.start({ agent });
  library = await load(server);
  direct = new library.SessiondClient({ baseUrl: server.url });
});

beforeEach(async () => {
  gate = await Gate.open(server);
  client = new library.SessiondClient({ baseUrl: gate.url });
});

afterEach(() => gate.close());

after(async () => {
  agent.close();
  await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
});

const create = (agentId = ELIZA) => direct.createSession({ agentId, userId: randomUUID() });

const contents = async (id) => (await direct.messages(id, { limit: 100 })).messages.map(({ content }) => content).reverse();

const shown = (events) => events.of('chunk').reduce((text, { chunk, index }) => (index === 0 ? chunk : text + chunk), '');

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('the call succeeded');
}

test('a session whose creation was not answered is created once', OPTIONS, async () => {
  const userId = randomUUID();
  gate.next = ['drop', 'drop'];
  const retries = [];
  const options = { key: undefined, retries: undefined, onRetry: ({ code }) => retries.push(code) };
  const { sessionId } = await client.createSession({ agentId: ELIZA, userId }, options);
  assert.deepEqual(retries, ['UNREACHABLE', 'UNREACHABLE']);
  const { sessions } = await direct.listSessions({ userId });
  assert.deepEqual(sessions.map((session) => session.sessionId), [sessionId]);
});

test('a message whose send was not answered is stored once', OPTIONS, async () => {
  const { sessionId } = await create();
  for (const transport of ['websocket', 'http']) {
    gate.next = ['drop'];
    const { userMessage, agentResponse } = await client.send(sessionId, { content: `By ${transport}.`, transport });
    assert.ok(userMessage.id);
    assert.equal(Boolean(agentResponse), transport === 'http');
    await until(async () => (await contents(sessionId)).length % 2 === 0, 'each message has its reply');
  }
  const sent = (await contents(sessionId)).filter((content) => content.startsWith('By '));
  assert.deepEqual(sent, ['By websocket.', 'By http.']);
  const keys = gate.of('POST', '/messages').map(({ body }) => JSON.parse(body).clientMessageId);
  assert.deepEqual([keys.length, new Set(keys).size], [4, 2]);
});

test('a call to a busy server is repeated after the time that it says', OPTIONS, async () => {
  const { sessionId } = await create();
  const busy = (status, seconds, code) => ({
    status, headers: { 'Content-Type': 'application/json', 'Retry-After': seconds },
    body: JSON.stringify({ code, error: { message: 'Later.' }, details: { reason: 'overloaded' } }),
  });
  // Also a call that is not safe to repeat when its answer is lost.
  gate.next = [busy(503, '1', 'SERVICE_UNAVAILABLE'), busy(429, '0', 'RATE_LIMIT_EXCEEDED')];
  const start = Date.now();
  assert.equal((await client.renew(sessionId)).renewalCount, 1);
  assert.ok(Date.now() - start >= 1000);

  for (const again of [busy(429, '60', 'RATE_LIMIT_EXCEEDED'), busy(429, new Date(Date.now() + 60_000).toUTCString(), 'RATE_LIMIT_EXCEEDED')]) {
    gate.requests.length = 0;
    gate.next = [again];
    const error = await errorOf(client.send(sessionId, { content: 'Hello.' }));
    assert.deepEqual([error.status, error.code, error.retryable, error.reason], [429, 'RATE_LIMIT_EXCEEDED', true, 'overloaded']);
    assert.ok(error.retryAfter > 55 && error.retryAfter <= 60);
    assert.equal(gate.requests.length, 1, 'a wait of a minute is left to the caller');
  }
  assert.deepEqual(await contents(sessionId), []);
});

test('a call is repeated after the error of a proxy where that is safe', OPTIONS, async () => {
  const { sessionId } = await create();
  const proxy = (status) => ({ status, headers: { 'Content-Type': 'text/html' }, body: '<h1>Bad gateway</h1>' });
  gate.next = [proxy(502), proxy(503), proxy(504)];
  await client.send(sessionId, { content: 'Hello.', transport: 'http' });
  gate.next = [proxy(502)];
  assert.ok(await client.getSession(sessionId));
  gate.next = [proxy(502)];
  const error = await errorOf(client.renew(sessionId));
  assert.deepEqual([error.status, error.code, error.retryable, error.body], [502, '', false, undefined]);
  assert.equal((await contents(sessionId)).length, 2);
});

test('what is not safe to repeat is not repeated', OPTIONS, async () => {
  const { sessionId } = await create();
  const calls = [
    () => client.renew(sessionId),
    () => client.updateSession(sessionId, { metadata: { title: 'x' } }),
    () => client.updateTimeout(sessionId, { timeoutMinutes: 40 }),
    () => client.cancel(sessionId),
    () => client.request('POST', `/api/messaging/sessions/${sessionId}/renew`),
  ];
  for (const call of calls) {
    gate.requests.length = 0;
    gate.next = ['drop'];
    const error = await errorOf(call());
    assert.deepEqual([error.status, error.code, error.retryable], [0, 'UNREACHABLE', false]);
    assert.equal(gate.requests.length, 1);
  }
});

test('what is safe to repeat is repeated', OPTIONS, async () => {
  const { sessionId } = await create();
  gate.next = ['drop'];
  assert.equal((await client.heartbeat(sessionId)).sessionId, sessionId);
  gate.next = ['drop'];
  assert.equal((await client.search({ channelId: sessionId })).complete, true);
  gate.next = ['drop'];
  await client.deleteSession(sessionId);
  gate.next = ['drop', 'drop', 'drop'];
  const error = await errorOf(client.me({ retries: 1 }));
  assert.deepEqual([error.code, error.retryable, gate.next.length], ['UNREACHABLE', true, 1]);
});

test('a reply is joined again after a cut, without text that was there before', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await until(() => shown(reply) === 'Once upon ', 'the first words come');
  gate.cut();
  call.say('a ');
  await until(() => shown(reply) === 'Once upon a ', 'the words of the gap come');
  gate.cut();
  gate.cut();
  await until(() => gate.of('POST', '/stream').length === 3, 'the reply is joined again');
  call.say('time');
  await until(() => shown(reply) === 'Once upon a time', 'the next words come');
  call.done('Once upon a time');
  assert.equal(await reply.ended, undefined);
  const chunks = reply.of('chunk');
  assert.equal(chunks.map(({ chunk }) => chunk).join(''), 'Once upon a time');
  assert.deepEqual(chunks.map(({ index }) => index), chunks.map((_, index) => index));
  assert.equal(chunks.at(-1).text, 'Once upon a time');
  assert.deepEqual(reply.types().filter((type) => type !== 'chunk'), ['user_message', 'done']);
  assert.deepEqual(await contents(sessionId), ['Tell me a story.', 'Once upon a time']);
  assert.equal(agent.calls.filter(({ body }) => body.sessionId === sessionId).length, 1);
});

test('a reply that ended during the cut is there', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await until(() => shown(reply) === 'Once upon ', 'the first words come');
  gate.next = Array(2).fill({ status: 503 });
  gate.cut();
  call.say('a time');
  call.done('Once upon a time');
  assert.equal(await reply.ended, undefined);
  assert.equal(shown(reply), 'Once upon a time');
  assert.deepEqual(reply.of('chunk').map(({ chunk }) => chunk), ['Once upon ', 'a time']);
});

/** Begins a reply whose first words have come. */
async function begun(sessionId, content, options) {
  const reply = new Events(client.stream(sessionId, { content }, options));
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await until(() => shown(reply) === 'Once upon ', 'the first words come');
  return { reply, call };
}

const callsOf = (id) => agent.calls.filter(({ body }) => body.sessionId === id).length;

test('a reply that was stopped or failed during the cut is not asked for again', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const cut = async (content) => {
    const { reply, call } = await begun(sessionId, content);
    // The server cannot be asked at first whether the turn has failed.
    gate.next = [{ status: 502 }];
    gate.cut();
    return { reply, call };
  };
  const stopped = await cut('One.');
  await direct.cancel(sessionId, { keepPartial: false });
  const { status, code, retryable, details } = await stopped.reply.ended;
  assert.deepEqual([status, code, retryable], [409, 'TURN_CANCELLED', false]);
  assert.equal(details.userMessage.content, 'One.');

  const kept = await cut('Two.');
  await direct.cancel(sessionId);
  assert.equal(await kept.reply.ended, undefined);
  assert.equal(shown(kept.reply), 'Once upon ');
  assert.equal(kept.reply.of('done')[0].metadata.interrupted, true);

  const failed = await cut('Three.');
  failed.call.fail();
  assert.equal((await failed.reply.ended).reason, 'invalid_reply');
  assert.equal(callsOf(sessionId), 3);
});

test('whether a reply was stopped is asked of its own message', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const { reply } = await begun(sessionId, 'One.');
  await direct.send(sessionId, { content: 'Two.' });
  gate.next = [{ status: 502 }];
  gate.cut();
  await direct.cancel(sessionId, { messageId: reply.of('user_message')[0].id, keepPartial: false });
  (await agent.next(sessionId)).done('Second.');
  assert.equal((await reply.ended).code, 'TURN_CANCELLED');
  assert.deepEqual(await contents(sessionId), ['One.', 'Two.', 'Second.']);
});

test('asking whether a reply was stopped is a part of the attempt to join it', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const { reply } = await begun(sessionId, 'One.', { retries: 1 });
  gate.next = [{ status: 502 }];
  gate.cut();
  assert.equal((await reply.ended).status, 502);
  assert.equal(gate.requests.filter(({ url }) => url.includes('/messages?')).length, 1);
  await direct.cancel(sessionId);
});

test('a reply that the agent begins anew after a crash replaces what was there', OPTIONS, async () => {
  for (const words of [['Once upon ', 'a time'], ['Once ', 'there was'], ['On'], ['Long ago, ', 'there was']]) {
    const { sessionId } = await create(STORYTELLER);
    const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }, { retries: 100 }));
    (await agent.next(sessionId)).say('Once upon ');
    await until(() => shown(reply) === 'Once upon ', 'the first words come');
    await server.stop();
    await server.resume();
    const again = await agent.next(sessionId);
    for (const word of words) again.say(word);
    const expected = words.join('');
    again.done(expected);
    assert.equal(await reply.ended, undefined);
    assert.equal(shown(reply), expected);
    assert.equal(reply.of('chunk').at(-1).text, expected);
    assert.equal(reply.of('done')[0].text, expected);
    assert.deepEqual(await contents(sessionId), ['Tell me a story.', expected]);
  }
});

test('a reply outlives a stop of the server', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const reply = new Events(client.stream(sessionId, { content: 'One.' }, { retries: 100 }));
  await reply.get('user_message');
  const sending = client.send(sessionId, { content: 'Two.', transport: 'http' }, { retries: 100 });
  (await agent.next(sessionId)).say('Once upon ');
  await until(() => shown(reply) === 'Once upon ', 'the first words come');
  await until(async () => (await contents(sessionId)).length === 2, 'both are stored');
  await server.stop('TERM');
  await server.resume();
  for (const text of ['Once upon a time.', 'The end.']) (await agent.next(sessionId)).done(text);
  assert.equal(await reply.ended, undefined);
  assert.equal(shown(reply), 'Once upon a time.');
  assert.equal((await sending).agentResponse.text, 'The end.');
  assert.deepEqual(await contents(sessionId), ['One.', 'Two.', 'Once upon a time.', 'The end.']);
});

test('each stored message comes once, across cuts and restarts', OPTIONS, async () => {
  const { sessionId } = await create();
  const stop = new AbortController();
  const events = new Events(client.events(sessionId, { signal: stop.signal }));
  await events.get('state');
  const send = (content) => direct.send(sessionId, { content, transport: 'http' });
  await send('One.');
  await events.get('messageBroadcast', 2);
  gate.cut();
  await send('Two.');
  await events.get('messageBroadcast', 4);
  assert.ok((await events.get('disconnected')).error.retryable);
  gate.next = Array(3).fill({ status: 503 });
  gate.cut();
  await send('Three.');
  await send('Four.');
  await server.stop();
  await events.get('disconnected', 4);
  await server.resume();
  await send('Five.');
  await events.get('messageBroadcast', 10);
  await until(() => events.types().lastIndexOf('state') > events.types().lastIndexOf('disconnected'), 'it is connected');
  stop.abort();
  assert.equal(await events.ended, undefined);
  assert.deepEqual(events.of('messageBroadcast').map(({ text }) => text), await contents(sessionId));
});

test('a proxy that answers a reconnect with a page of its own is not the end', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  const page = { status: 200, headers: { 'Content-Type': 'text/html' }, body: '<h1>Please wait</h1>' };
  const events = new Events(client.events(sessionId));
  await events.get('state');
  const { reply, call } = await begun(sessionId, 'Tell me a story.');
  gate.next = Array(4).fill(page);
  gate.cut();
  call.done('Once upon a time.');
  assert.equal(await reply.ended, undefined);
  assert.equal(shown(reply), 'Once upon a time.');
  await events.get('state', 2);
  await events.get('messageBroadcast', 2);
  assert.ok(events.of('disconnected').some(({ error }) => error.code === 'INVALID_RESPONSE'));
  await direct.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);

  // A client that was never connected probably has the wrong address.
  const { sessionId: other } = await create();
  for (const start of [() => client.events(other), () => client.stream(other, { content: 'Hello.' })]) {
    gate.next = [page];
    assert.equal((await new Events(start()).ended).code, 'INVALID_RESPONSE');
  }
  assert.deepEqual(await contents(other), []);
});

test('who joins in mid-reply, or again, has its whole text', OPTIONS, async () => {
  const { sessionId } = await create(STORYTELLER);
  await direct.send(sessionId, { content: 'Tell me a story.' });
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  const early = new Events(direct.events(sessionId));
  await until(async () => early.of('messageStreamChunk').length || early.of('state')[0]?.partial, 'the first words come');
  const events = new Events(client.events(sessionId));
  assert.equal((await events.get('state')).partial.text, 'Once upon ');
  call.say('a ');
  assert.equal((await events.get('messageStreamChunk')).text, 'Once upon a ');
  gate.cut();
  call.say('time');
  assert.match((await events.get('state', 2)).partial.text, /^Once upon a /);
  call.say('.');
  await until(() => events.of('messageStreamChunk').at(-1).text === 'Once upon a time.', 'the whole text is there');
  await direct.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);
  assert.equal(await early.ended, undefined);
});

/** Replaces the timers of the client that wait for a silence. They end when the test says so. */
function mockSilences(t) {
  const { setTimeout: start, clearTimeout: stop } = globalThis;
  const silences = new Map();
  t.mock.method(globalThis, 'setTimeout', (callback, time, ...more) => {
    if (time !== 40_000) return start(callback, time, ...more);
    const timer = start(() => {}, time);
    silences.set(timer, callback);
    return timer;
  });
  t.mock.method(globalThis, 'clearTimeout', (timer) => {
    silences.delete(timer);
    stop(timer);
  });
  return silences;
}

/** Lets the time pass for these silences, unless something was heard since. */
const pass = (silences, timers = [...silences.keys()]) => timers.forEach((timer) => silences.get(timer)?.());

test('a connection that is silent for longer than the server ever is, is replaced', OPTIONS, async (t) => {
  const silences = mockSilences(t);
  const { sessionId } = await create(STORYTELLER);
  const events = new Events(client.events(sessionId));
  await events.get('state');
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const call = await agent.next(sessionId);
  await Promise.all([reply.get('user_message'), events.get('messageBroadcast')]);
  gate.freeze();
  call.done('Once upon a time.');
  await until(async () => (await contents(sessionId)).length === 2, 'the reply is stored');
  assert.deepEqual([reply.of('done').length, events.of('messageBroadcast').length], [0, 1]);
  pass(silences);
  assert.equal(await reply.ended, undefined);
  assert.equal(shown(reply), 'Once upon a time.');
  await events.get('messageBroadcast', 2);
  await direct.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);
});

test('a connection on which something is heard is not replaced', OPTIONS, async (t) => {
  const silences = mockSilences(t);
  const { sessionId } = await create(STORYTELLER);
  const events = new Events(client.events(sessionId));
  await events.get('state');
  await until(() => silences.size === 1, 'the client waits for the next event');
  const before = [...silences.keys()];
  await direct.send(sessionId, { content: 'Tell me a story.' });
  (await agent.next(sessionId)).done('Once upon a time.');
  await events.get('messageBroadcast', 2);
  pass(silences, before);
  await direct.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);
  assert.equal(events.of('disconnected').length, 0);
  assert.equal(silences.size, 0, 'no timer is left');
});

test('a connection that is never answered is replaced', OPTIONS, async (t) => {
  const silences = mockSilences(t);
  const { sessionId } = await create();
  gate.next = ['hang'];
  const events = new Events(client.events(sessionId));
  await until(() => gate.requests.length === 1, 'the request has arrived');
  pass(silences);
  await events.get('state');
  assert.deepEqual(events.types(), ['disconnected', 'state']);
  await direct.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);
});

test('the events of a session that expires end', OPTIONS, async (t) => {
  // A minute of a session lasts a second here.
  const fast = await Server.start({ agent, SESSION_TIME_SCALE: '60', SESSION_MIN_TIMEOUT_MINUTES: '1' });
  t.after(() => fast.remove());
  const user = new library.SessiondClient({ baseUrl: fast.url });
  const { sessionId } = await user.createSession({ agentId: ELIZA, userId: randomUUID(), timeoutConfig: { timeoutMinutes: 5 } });
  const events = new Events(user.events(sessionId));
  assert.equal(await events.ended, undefined);
  assert.equal(events.types().at(-1), 'sessionExpired');
  const error = await errorOf(user.send(sessionId, { content: 'Hello?' }));
  assert.deepEqual([error.status, error.code, error.retryable], [410, 'SESSION_EXPIRED', false]);
  assert.ok(error.details.expiresAt);
  const late = await new Events(user.events(sessionId)).ended;
  assert.equal(late.code, 'SESSION_EXPIRED');
  assert.deepEqual((await user.transcript(sessionId)).messages, []);
});

test('a reply of a session that expired during the cut is there', OPTIONS, async (t) => {
  const fast = await Server.start({ agent, SESSION_TIME_SCALE: '60', SESSION_MIN_TIMEOUT_MINUTES: '1' });
  const expiring = await Gate.open(fast);
  t.after(async () => {
    expiring.close();
    await fast.remove();
  });
  const [user, undisturbed] = [expiring, fast].map(({ url }) => new library.SessiondClient({ baseUrl: url }));
  const timeoutConfig = { timeoutMinutes: 2, autoRenew: false };
  const { sessionId } = await user.createSession({ agentId: STORYTELLER, userId: randomUUID(), timeoutConfig });
  const reply = new Events(user.stream(sessionId, { content: 'One.' }, { retries: 100 }));
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await until(() => shown(reply) === 'Once upon ', 'the first words come');
  expiring.next = Array(100).fill({ status: 503 });
  expiring.cut();
  const isExpired = () => undisturbed.getSession(sessionId).then(() => false, ({ code }) => code === 'SESSION_EXPIRED');
  await until(isExpired, 'the session expires');
  // It began before.
  call.done('Once upon a time.');
  await until(async () => (await undisturbed.transcript(sessionId)).messages.length === 2, 'the reply is stored');
  expiring.next = [];
  assert.equal(await reply.ended, undefined);
  assert.equal(shown(reply), 'Once upon a time.');
});
