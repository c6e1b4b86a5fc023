// Every call of the client library, its errors, tokens and aborts.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ELIZA, Events, Gate, OPTIONS, PERSON, STORYTELLER, Server, Storyteller, jwt, load, until } from './servers.mjs';

const SECRET = 'what-signs-the-tokens-of-these-users';

let agent;
let server;
let guarded;
let library;
let client;

before(async () => {
  agent = await Storyteller.open();
  [server, guarded] = await Promise.all([
    Server.start({ agent }),
    Server.start({ agent, JWT_SECRET: SECRET, SESSIOND_ADMIN_TOKEN: 'the-administrator' }),
  ]);
  library = await load(server);
  client = new library.SessiondClient({ baseUrl: server.url });
});

after(async () => {
  agent.close();
  await Promise.all([server.remove(), guarded.remove(), rm(library.directory, { recursive: true })]);
});

const create = (fields) => client.createSession({ agentId: ELIZA, userId: randomUUID(), ...fields });

/** Returns the error of a call that must fail. */
async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('the call succeeded');
}

test('every call', OPTIONS, async () => {
  const userId = randomUUID();
  const session = await create({ userId, metadata: { title: 'Roses' } });
  const id = session.sessionId;
  assert.equal((await client.getSession(id)).sessionId, id);
  assert.deepEqual((await client.listSessions({ userId, limit: 5 })).sessions.map(({ sessionId }) => sessionId), [id]);
  assert.equal((await client.updateSession(id, { metadata: { title: 'Tulips' } })).metadata.title, 'Tulips');
  assert.equal((await client.updateTimeout(id, { timeoutMinutes: 60 })).timeoutConfig.timeoutMinutes, 60);
  assert.equal((await client.renew(id)).renewalCount, 1);
  assert.equal((await client.heartbeat(id)).renewalCount, 2);

  const { userMessage, agentResponse, sessionStatus } = await client.send(id, { content: 'Hello.', transport: 'http' });
  assert.equal(userMessage.content, 'Hello.');
  assert.match(userMessage.clientMessageId, /^[0-9a-f]{32}$/);
  assert.ok(agentResponse.text);
  assert.equal(sessionStatus.wasRenewed, true);
  const { messages } = await client.messages(id, { limit: 10 });
  assert.deepEqual(messages.map((message) => message.id), [agentResponse.id, userMessage.id]);
  const since = await client.messages(id, { after: new Date(userMessage.createdAt) });
  assert.deepEqual(since.messages.map((message) => message.id), [agentResponse.id]);
  assert.deepEqual((await client.transcript(id)).messages, messages);
  assert.equal((await client.search({ query: 'hello.', channelId: id, authorId: userId })).messages[0].id, userMessage.id);
  assert.ok(Array.isArray((await client.search()).messages));
  assert.deepEqual((await client.cancel(id)).cancelled, []);

  assert.ok((await client.agents()).some(({ name }) => name === 'Eliza'));
  assert.equal((await client.agent(ELIZA)).name, 'Eliza');
  assert.deepEqual(await client.me(), { role: 'anonymous' });
  assert.equal((await client.health()).status, 'healthy');

  const talk = await create({ agentId: PERSON });
  const asked = await client.send(talk.sessionId, { content: 'Is anyone there?' });
  assert.equal(asked.agentResponse, undefined);
  const reply = { channel_id: talk.channelId, author_id: PERSON, content: 'Yes.', messageId: 'reply-1' };
  const submitted = await client.submit(reply);
  assert.equal(submitted.inReplyTo, asked.userMessage.id);
  assert.equal((await client.submit(reply)).id, submitted.id, 'its messageId is its key');

  await client.deleteSession(id);
  assert.equal((await errorOf(client.deleteSession(id))).code, 'SESSION_NOT_FOUND');
  await create({ userId });
  assert.equal(await client.deleteUserSessions(userId), 1);
});

test('any call of the API, with its JSON or its response', OPTIONS, async () => {
  const document = await client.request('GET', '/openapi.json');
  assert.match(document.openapi, /^3\.1/);
  const metrics = await client.request('GET', '/metrics', { accept: 'text/plain' });
  assert.match(await metrics.text(), /^# HELP/m);

  const { sessionId } = await create();
  const lines = await (await client.request('GET', '/api/admin/export', { query: { session: sessionId, user: undefined } })).text();
  assert.equal(JSON.parse(lines.trim().split('\n')[0]).sessionId, sessionId);
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ metadata: { theme: 'dark' } });
  const changed = await client.request('PATCH', `/api/messaging/sessions/${sessionId}`, { body, headers });
  assert.deepEqual(changed.metadata, { theme: 'dark' });

  const create1 = { key: 'once', body: { agentId: ELIZA, userId: randomUUID() } };
  const ids = [];
  for (let i = 0; i < 2; i += 1) ids.push((await client.request('POST', '/api/messaging/sessions', create1)).sessionId);
  assert.equal(ids[0], ids[1]);
  const page = await errorOf(client.request('GET', '/', { accept: 'application/json' }));
  assert.equal(page.code, 'INVALID_RESPONSE');
  assert.equal(page.retryable, false);
});

test('a reply is streamed, with what the agent does before it', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const call = await agent.next(sessionId);
  call.act({ kind: 'tool', name: 'library', state: 'started' });
  call.say('Once upon ');
  call.say('a time');
  await reply.get('chunk', 2);
  call.done('Once upon a time.');
  assert.equal(await reply.ended, undefined);
  const [first] = reply.all;
  assert.equal(first.type, 'user_message');
  assert.equal(first.data.content, 'Tell me a story.');
  assert.equal(first.id, undefined);
  assert.deepEqual(reply.of('activity').map(({ kind, name, state }) => [kind, name, state]), [['tool', 'library', 'started']]);
  const chunks = reply.of('chunk');
  assert.deepEqual(chunks.map(({ index }) => index), chunks.map((_, index) => index));
  assert.equal(chunks.at(-1).text, chunks.map(({ chunk }) => chunk).join(''));
  const done = reply.all.at(-1);
  assert.equal(done.type, 'done');
  assert.equal(done.data.inReplyTo, first.data.id);
});

test('the events of a session', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const stop = new AbortController();
  const events = new Events(client.events(sessionId, { signal: stop.signal }));
  assert.equal((await events.get('state')).inputEnabled, true);
  await client.send(sessionId, { content: 'Tell me a story.' });
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await events.get('messageStreamChunk');
  call.say('a time');
  assert.equal((await events.get('messageStreamChunk', 2)).text, 'Once upon a time');

  const late = new Events(client.events(sessionId, { signal: stop.signal }));
  assert.equal((await late.get('state')).partial.text, 'Once upon a time');
  call.say(' there');
  assert.equal((await late.get('messageStreamChunk')).text, 'Once upon a time there');
  await client.cancel(sessionId);
  assert.equal((await events.get('messageBroadcast', 2)).metadata.interrupted, true);
  await until(() => events.of('controlMessage').length === 2, 'the input is enabled');
  const [question] = events.all.filter(({ type }) => type === 'messageBroadcast');
  assert.equal(question.id, String(question.data.createdAt));

  const joined = [];
  for (const time of [question.id, question.data.createdAt, new Date(question.data.createdAt), new Date(question.data.createdAt).toISOString()]) {
    const again = new Events(client.events(sessionId, { after: time, signal: stop.signal }));
    await again.get('state');
    assert.deepEqual(again.types(), ['messageBroadcast', 'state']);
    joined.push(again);
  }
  stop.abort();
  for (const one of [events, late, ...joined]) assert.equal(await one.ended, undefined, 'an abort is not an error');
});

test('line separators in a text are a part of it', OPTIONS, async () => {
  const text = 'One.\u2028Two.\u2029Three.\u0085Four.\r\nFive.';
  const { sessionId } = await create({ agentId: STORYTELLER });
  const events = new Events(client.events(sessionId));
  await events.get('state');
  const reply = new Events(client.stream(sessionId, { content: text }));
  const call = await agent.next(sessionId);
  call.say(text);
  await reply.get('chunk');
  call.done(text);
  assert.equal(await reply.ended, undefined);
  assert.equal(reply.of('user_message')[0].content, text);
  assert.equal(reply.of('chunk').at(-1).text, text);
  assert.equal(reply.of('done')[0].text, text);
  await events.get('messageBroadcast', 2);
  assert.deepEqual(events.of('messageBroadcast').map((message) => message.text), [text, text]);
  assert.equal(events.of('messageStreamChunk').at(-1).text, text);
  await client.deleteSession(sessionId);
  await events.ended;
});

test('an event stream may end its lines with CR LF, and be split anywhere', OPTIONS, async () => {
  const lines = [': comment', '', 'event: messageBroadcast', 'id: 7', 'data: {"text":"a\u2028 b",', 'data:"id":"x"}', '', 'event:channelDeleted', 'data: {}', '', ''];
  for (const end of ['\n', '\r\n']) {
    const bytes = new TextEncoder().encode(lines.join(end));
    for (const size of [1, 2, 7, bytes.length]) {
      const body = new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        },
      });
      const fetch = async () => new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
      const events = new Events(new library.SessiondClient({ baseUrl: server.url, fetch }).events('id'));
      assert.equal(await events.ended, undefined);
      assert.deepEqual(events.all, [
        { type: 'messageBroadcast', data: { text: 'a\u2028 b', id: 'x' }, id: '7' }, { type: 'channelDeleted', data: {}, id: undefined },
      ]);
    }
  }
});

test('nothing comes after an abort', OPTIONS, async () => {
  const { sessionId } = await create();
  await client.send(sessionId, { content: 'Hello.', transport: 'http' });
  const stop = new AbortController();
  const seen = [];
  for await (const { type } of client.events(sessionId, { after: 0, signal: stop.signal })) {
    seen.push(type);
    stop.abort();
  }
  assert.deepEqual(seen, ['messageBroadcast']);
});

test('the events end with the session', OPTIONS, async () => {
  const { sessionId } = await create();
  const events = new Events(client.events(sessionId));
  await events.get('state');
  await client.deleteSession(sessionId);
  assert.equal(await events.ended, undefined);
  assert.equal(events.types().at(-1), 'channelDeleted');
  const [error] = [await new Events(client.events(sessionId)).ended];
  assert.equal(error.code, 'SESSION_NOT_FOUND');
});

test('errors say what is wrong and whether to repeat', OPTIONS, async () => {
  const { sessionId } = await create();
  const missing = randomUUID();
  await client.send(sessionId, { content: 'One.', clientMessageId: 'one' });
  const cases = [
    [() => create({ userId: 'me' }), { status: 400, code: 'VALIDATION_ERROR', details: { field: 'userId', value: 'me' } }],
    [() => client.send(sessionId, { content: '' }), { status: 400, code: 'VALIDATION_ERROR', reason: /./ }],
    [() => create({ agentId: missing }), { status: 404, code: 'AGENT_NOT_FOUND', details: { agentId: missing } }],
    [() => client.getSession(missing), { status: 404, code: 'SESSION_NOT_FOUND', details: { sessionId: missing } }],
    [() => client.request('GET', '/nowhere'), { status: 404, code: 'NOT_FOUND' }],
    [() => client.request('PUT', '/api/agents'), { status: 405, code: 'METHOD_NOT_ALLOWED' }],
    [() => client.send(sessionId, { content: 'Two.', clientMessageId: 'one' }), { status: 409, code: 'IDEMPOTENCY_CONFLICT', details: { key: 'one' } }],
    [() => client.search({ limit: 0 }), { status: 400, code: 'VALIDATION_ERROR', reason: /./ }],
  ];
  for (const [call, { status, code, details = {}, reason }] of cases) {
    const error = await errorOf(call());
    assert.ok(error instanceof library.SessiondError && error instanceof Error);
    assert.equal(error.name, 'SessiondError');
    assert.deepEqual([error.status, error.code, error.retryable], [status, code, false]);
    for (const [name, value] of Object.entries(details)) assert.equal(error.details[name], value);
    if (reason) assert.match(error.reason, reason);
    assert.ok(error.message && error.requestId);
    assert.equal(error.body.code, code);
  }
  await assert.rejects(client.send(sessionId, { content: 'x', transport: 'sse' }), TypeError);
});

test('an error without details, or without a code, is an error of this kind, too', OPTIONS, async () => {
  const bodies = [{ code: 'FORBIDDEN', error: { message: 'No.' }, details: null }, { details: null }, { code: null, error: null }, null];
  for (const body of bodies) {
    const fetch = async () => Response.json(body, { status: 403 });
    const error = await errorOf(new library.SessiondClient({ baseUrl: server.url, fetch }).me());
    assert.ok(error instanceof library.SessiondError, String(error));
    assert.deepEqual([error.status, error.code, error.details, error.reason], [403, body?.code ?? '', {}, undefined]);
  }
});

test('a reply that fails is an error, with the message that was stored', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const call = await agent.next(sessionId);
  call.say('Once');
  await reply.get('chunk');
  call.fail();
  const streamed = await reply.ended;
  const sending = errorOf(client.send(sessionId, { content: 'Another one.', transport: 'http' }));
  const other = await agent.next(sessionId);
  other.say('Once');
  other.fail();
  const sent = await sending;
  for (const error of [streamed, sent]) {
    assert.ok(error instanceof library.SessiondError);
    assert.deepEqual([error.status, error.code, error.reason, error.retryable], [502, 'AGENT_ERROR', 'invalid_reply', true]);
  }
  assert.equal(streamed.details.userMessage.content, 'Tell me a story.');
  assert.equal(sent.details.userMessage.content, 'Another one.');
  assert.equal(agent.calls.filter(({ body }) => body.sessionId === sessionId).length, 2, 'no reply is asked for again by itself');
});

test('a stopped reply is an error that is not repeated', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const reply = new Events(client.stream(sessionId, { content: 'Tell me a story.' }));
  const { id } = await reply.get('user_message');
  const call = await agent.next(sessionId);
  assert.deepEqual((await client.cancel(sessionId, { messageId: id })).cancelled, [id]);
  const error = await reply.ended;
  assert.deepEqual([error.status, error.code, error.reason, error.retryable], [409, 'TURN_CANCELLED', 'cancelled', false]);
  const sending = errorOf(client.send(sessionId, { content: 'Another one.', transport: 'http' }));
  const other = await agent.next(sessionId);
  await client.cancel(sessionId);
  assert.equal((await sending).code, 'TURN_CANCELLED');
  await Promise.all([call.closed, other.closed]);
  assert.equal(agent.calls.filter(({ body }) => body.sessionId === sessionId).length, 2);
});

test('every call can be aborted', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const stop = new AbortController();
  const reason = new Error('enough');
  const waiting = [
    errorOf(client.send(sessionId, { content: 'One.', transport: 'http' }, { signal: stop.signal })),
    new Events(client.stream(sessionId, { content: 'Two.' }, { signal: stop.signal })).ended,
  ];
  await agent.next(sessionId);
  await until(async () => (await client.messages(sessionId)).messages.length === 2, 'both are stored');
  // A call that waits for its next attempt.
  const nowhere = new library.SessiondClient({ baseUrl: 'http://127.0.0.1:9', retries: Infinity });
  let attempts = 0;
  const onRetry = (error) => {
    assert.equal(error.code, 'UNREACHABLE');
    attempts += 1;
  };
  waiting.push(errorOf(nowhere.me({ signal: stop.signal, onRetry })));
  const lost = new Events(nowhere.events(sessionId, { signal: stop.signal }));
  await lost.get('disconnected');
  await until(() => attempts > 1, 'the call is repeated');
  stop.abort(reason);
  for (const error of await Promise.all(waiting)) assert.equal(error, reason);
  assert.equal(await lost.ended, undefined);
  assert.equal(await errorOf(client.me({ signal: AbortSignal.abort(reason) })), reason);
  assert.equal(await new Events(client.stream(sessionId, { content: 'x' }, { signal: stop.signal })).ended, reason);
  await client.cancel(sessionId);
});

test('a call that waits for its token can be aborted', OPTIONS, async () => {
  const { sessionId } = await create();
  const reason = new Error('enough');
  let calls = 0;
  let release;
  const token = () => {
    calls += 1;
    return new Promise((resolve) => (release = resolve));
  };
  const user = new library.SessiondClient({ baseUrl: server.url, token });
  const aborted = AbortSignal.abort(reason);
  assert.equal(await errorOf(user.me({ signal: aborted })), reason);
  assert.equal(await new Events(user.stream(sessionId, { content: 'x' }, { signal: aborted })).ended, reason);
  assert.equal(await new Events(user.events(sessionId, { signal: aborted })).ended, undefined);
  assert.equal(calls, 0, 'an aborted call needs no token');

  const stop = new AbortController();
  const { signal } = stop;
  const waiting = [
    errorOf(user.send(sessionId, { content: 'One.' }, { signal })),
    new Events(user.stream(sessionId, { content: 'Two.' }, { signal })).ended,
    new Events(user.events(sessionId, { signal })).ended,
  ];
  const undisturbed = user.me();
  const timed = errorOf(user.me({ signal: AbortSignal.timeout(10) }));
  await until(() => calls, 'the token is asked for');
  assert.equal((await timed).name, 'TimeoutError');
  stop.abort(reason);
  assert.deepEqual(await Promise.all(waiting), [reason, reason, undefined]);
  release('a token');
  assert.deepEqual(await undisturbed, { role: 'anonymous' });
  assert.equal(calls, 1, 'the other calls share the token');
  assert.deepEqual((await client.messages(sessionId)).messages, []);

  // The second call of the function, after a refused token.
  let first = true;
  const again = new library.SessiondClient({ baseUrl: guarded.url, token: () => (first ? ((first = false), 'wrong') : token()) });
  const second = new AbortController();
  const refused = errorOf(again.me({ signal: second.signal }));
  await until(() => calls === 2, 'the token is asked for again');
  second.abort(reason);
  assert.equal(await refused, reason);
});

test('a page leaves a stream without ending the reply', OPTIONS, async () => {
  const { sessionId } = await create({ agentId: STORYTELLER });
  const left = (async () => {
    for await (const { type } of client.stream(sessionId, { content: 'Tell me a story.' })) if (type === 'chunk') break;
  })();
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await left;
  call.done('Once upon a time.');
  const reply = await until(async () => (await client.messages(sessionId)).messages.find(({ isAgent }) => isAgent), 'the reply is stored');
  assert.equal(reply.content, 'Once upon a time.');
});

test('a token function is called again when its token is refused', OPTIONS, async (t) => {
  const userId = randomUUID();
  const gate = await Gate.open(guarded);
  t.after(() => gate.close());
  const asked = [];
  const token = async (refused) => {
    asked.push(refused);
    return jwt(SECRET, userId, asked.length === 1 ? -60 : 600);
  };
  const user = new library.SessiondClient({ baseUrl: gate.url, token });
  // Calls at the same time share the new token.
  const answers = await Promise.all([user.me(), user.me(), user.agents()]);
  assert.deepEqual(answers[0], { role: 'user', userId });
  assert.equal(asked.length, 2);
  assert.equal(asked[0], undefined);
  assert.match(asked[1], /^eyJ/);
  gate.requests.length = 0;
  const { sessionId } = await user.createSession({ agentId: ELIZA, userId });
  const stop = new AbortController();
  const events = new Events(user.events(sessionId, { signal: stop.signal }));
  await events.get('state');
  assert.equal(gate.requests.length, 2, 'a good token is used again');
  assert.ok(gate.requests.every(({ url }) => !url.includes('eyJ')), 'no token is in an address');
  stop.abort();
  await events.ended;
});

test('a token that is refused for good is a 401 that the caller sees', OPTIONS, async () => {
  let calls = 0;
  const expired = () => {
    calls += 1;
    return jwt(SECRET, randomUUID(), -60);
  };
  for (const token of [undefined, 'wrong', expired, async () => null]) {
    const user = new library.SessiondClient({ baseUrl: guarded.url, token });
    const reply = user.stream(randomUUID(), { content: 'x' });
    for (const error of [await errorOf(user.me()), await errorOf(reply.next()), await new Events(user.events(randomUUID())).ended]) {
      assert.deepEqual([error.status, error.code, error.retryable], [401, 'UNAUTHORIZED', false]);
    }
  }
  assert.equal(calls, 4, 'once at first, then once for each refusal');

  const user = new library.SessiondClient({ baseUrl: guarded.url, token: 'wrong' });
  user.token = 'the-administrator';
  assert.deepEqual(await user.me(), { role: 'admin' });
  class Page extends library.SessiondClient {
    async request(...call) {
      try {
        return await super.request(...call);
      } catch (error) {
        this.failure = error.status;
        throw error;
      }
    }
  }
  const page = new Page({ baseUrl: guarded.url });
  await errorOf(page.listSessions());
  assert.equal(page.failure, 401, 'a subclass sees all errors');
});

test('a token function that fails is called again', OPTIONS, async () => {
  let calls = 0;
  const token = async () => {
    calls += 1;
    if (calls < 3) throw new TypeError('no network');
    return 'the-administrator';
  };
  const user = new library.SessiondClient({ baseUrl: guarded.url, token });
  assert.deepEqual(await user.me(), { role: 'admin' });
  calls = 0;
  user.token = token;
  const error = await errorOf(user.me({ retries: 0 }));
  assert.deepEqual([error.code, error.status, error.retryable], ['TOKEN_UNAVAILABLE', 0, true]);
  assert.match(error.message, /no network/);
});

test('calls at the same time share the failures of a token function', OPTIONS, async () => {
  for (const isSlow of [false, true]) {
    let calls = 0;
    const token = () => {
      calls += 1;
      if (!isSlow) throw new Error('no network');
      return sleep(30).then(() => Promise.reject(new Error('no network')));
    };
    const user = new library.SessiondClient({ baseUrl: guarded.url, token });
    const failing = Array.from({ length: 60 }, () => errorOf(user.me({ retries: 2 })));
    for (const { code } of await Promise.all(failing)) assert.equal(code, 'TOKEN_UNAVAILABLE');
    assert.ok(calls >= 3 && calls <= 4, `${calls} calls`);
    await sleep(150);
    const before = calls;
    await errorOf(user.me({ retries: 0 }));
    assert.equal(calls, before + 1, 'a later call does not share them');
  }
});

test('a token that cannot be sent is an error that does not show it', OPTIONS, async () => {
  for (const bad of ['secret\nsecret', 'secret\u0000', 'secretß→']) {
    for (const token of [bad, async () => bad]) {
      const user = new library.SessiondClient({ baseUrl: guarded.url, token });
      const events = new Events(user.events(randomUUID()));
      for (const error of [await errorOf(user.me()), await errorOf(user.stream('id', { content: 'x' }).next()), await events.ended]) {
        assert.ok(error instanceof library.SessiondError, String(error));
        assert.deepEqual([error.code, error.status, error.retryable], ['UNAUTHORIZED', 0, false]);
        assert.ok(!`${error.stack}${error.cause}`.includes('secret'));
      }
    }
  }
  const tokens = ['two\nlines', 'the-administrator'];
  const user = new library.SessiondClient({ baseUrl: guarded.url, token: () => tokens.shift() });
  await errorOf(user.me());
  assert.deepEqual(await user.me(), { role: 'admin' }, 'the next call asks for another token');
});

test('to other users a session does not exist, and administrators’ calls are forbidden', OPTIONS, async () => {
  const [owner, other] = [randomUUID(), randomUUID()].map((userId) => ({
    userId, client: new library.SessiondClient({ baseUrl: guarded.url, token: jwt(SECRET, userId) }),
  }));
  const { sessionId } = await owner.client.createSession({ agentId: ELIZA, userId: owner.userId });
  assert.equal((await errorOf(other.client.getSession(sessionId))).code, 'SESSION_NOT_FOUND');
  const forbidden = await errorOf(other.client.listSessions());
  assert.deepEqual([forbidden.status, forbidden.code], [403, 'FORBIDDEN']);
});

test('an address that is none is refused at once', () => {
  for (const baseUrl of [undefined, '', '/chat', 'localhost']) {
    assert.throws(() => new library.SessiondClient({ baseUrl }), { name: 'TypeError', message: /baseUrl/ });
  }
  assert.ok(new library.SessiondClient({ baseUrl: 'http://127.0.0.1:1/below/' }));
});
