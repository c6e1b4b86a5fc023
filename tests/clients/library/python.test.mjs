// The Python client of `data/examples`.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { ELIZA, Gate, OPTIONS, STORYTELLER, Server, Storyteller, jwt, load, start, until } from './servers.mjs';

const SECRET = 'what-signs-the-tokens-of-these-users';

let agent;
let server;
let library;
let gate;
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
});

afterEach(() => gate.close());

after(async () => {
  agent.close();
  await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
});

const linesOf = (output) => output.split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** Makes a call of the class, through the gate. */
function begin(...call) {
  const program = start('python3', join(import.meta.dirname, 'client-example.py'), {}, gate.url, ...call);
  return {
    results: () => linesOf(program.output),
    ended: program.ended.then(({ code, output }) => {
      assert.equal(code, 0, output);
      return linesOf(output);
    }),
  };
}

const call = (...words) => begin(...words).ended;

const create = async (agentId = STORYTELLER) => (await direct.createSession({ agentId, userId: randomUUID() })).sessionId;
const contents = async (id) => (await direct.messages(id)).messages.map(({ content }) => content).reverse();
const textsOf = (events) => events.filter(([name]) => name === 'chunk').map(([, { text }]) => text);

/** Begins to stream a reply whose first words have come. */
async function begun(sessionId, content) {
  const reply = begin('stream', sessionId, content);
  const turn = await agent.next(sessionId);
  turn.say('Once upon ');
  await until(() => textsOf(reply.results()).length, 'the first words come');
  return { ...reply, turn };
}

test('the program prints the reply as it is written', OPTIONS, async (t) => {
  const guarded = await Server.start({ JWT_SECRET: SECRET, SESSIOND_ADMIN_TOKEN: 'the-administrator' });
  t.after(() => guarded.remove());
  const userId = randomUUID();
  const settings = { SESSIOND_URL: guarded.url, SESSIOND_TOKEN: jwt(SECRET, userId) };
  const { code, output } = await start('python3', 'client.py', settings, 'Hello!').ended;
  assert.equal(code, 0, output);
  const user = new library.SessiondClient({ baseUrl: guarded.url, token: settings.SESSIOND_TOKEN });
  const { sessions: [session] } = await user.listSessions({ userId });
  const { messages: [reply, question] } = await user.messages(session.sessionId);
  assert.deepEqual([question.content, `${reply.content}\n`], ['Hello!', output]);

  const refused = await start('python3', 'client.py', { SESSIOND_URL: guarded.url }, 'Hello!').ended;
  assert.equal(refused.code, 1);
  assert.match(refused.output, /^UNAUTHORIZED: ./);
  assert.match((await start('python3', 'client.py', settings).ended).output, /^usage/);
});

test('sessions, replies and pages of the history', OPTIONS, async () => {
  const userId = randomUUID();
  const [session] = await call('create', ELIZA, userId);
  assert.equal(session.userId, userId);
  const said = [];
  for (const content of ['One.', 'Two.', 'Three.']) {
    const [{ text }] = await call('send', session.sessionId, content);
    said.push(content, text);
  }
  assert.deepEqual(await contents(session.sessionId), said);
  const history = await call('history', session.sessionId, '2');
  assert.deepEqual(history.map(({ content }) => content).reverse(), said);
  const asked = gate.requests.filter(({ method, url }) => method === 'GET' && url.includes('limit=2'));
  assert.equal(asked.length, 3);
});

test('what was not answered is sent again and stored once', OPTIONS, async () => {
  const userId = randomUUID();
  gate.next = ['drop'];
  const [{ sessionId }] = await call('create', ELIZA, userId);
  assert.deepEqual((await direct.listSessions({ userId })).sessions.map((session) => session.sessionId), [sessionId]);
  gate.next = ['drop', { status: 502 }];
  const [{ text }] = await call('send', sessionId, 'Hello.');
  assert.deepEqual(await contents(sessionId), ['Hello.', text]);
});

test('a reply is joined again after a cut', OPTIONS, async () => {
  const sessionId = await create();
  const { turn, ended } = await begun(sessionId, 'Tell me a story.');
  gate.cut();
  turn.say('a ');
  await until(() => gate.of('POST', '/stream').length === 2, 'the reply is joined again');
  turn.done('Once upon a time');
  const events = await ended;
  const texts = textsOf(events);
  assert.ok(texts.every((text) => 'Once upon a time'.startsWith(text)), texts);
  assert.deepEqual(events.map(([name]) => name).filter((name) => name !== 'chunk'), ['user_message', 'done']);
  assert.equal(events.at(-1)[1].text, 'Once upon a time');
  assert.deepEqual(await contents(sessionId), ['Tell me a story.', 'Once upon a time']);
});

test('a reply that was stopped during a cut is not begun anew', OPTIONS, async () => {
  const sessionId = await create();
  const { ended } = await begun(sessionId, 'Tell me a story.');
  gate.next = [{ status: 502 }];
  gate.cut();
  await direct.cancel(sessionId, { keepPartial: false });
  const error = (await ended).at(-1);
  assert.deepEqual([error.code, error.reason, error.retryable], ['TURN_CANCELLED', 'cancelled', false]);
  assert.equal(agent.calls.filter(({ body }) => body.sessionId === sessionId).length, 1);
});

test('a reply that failed is an error, and begins anew with its key', OPTIONS, async () => {
  const sessionId = await create();
  const sending = call('send', sessionId, 'Tell me a story.', 'a-key');
  const turn = await agent.next(sessionId);
  turn.say('Once');
  turn.fail();
  const [error] = await sending;
  assert.deepEqual([error.code, error.reason, error.retryable], ['AGENT_ERROR', 'invalid_reply', true]);
  assert.equal(gate.requests.length, 1, 'it is not begun anew without the caller');
  const again = call('send', sessionId, 'Tell me a story.', 'a-key');
  (await agent.next(sessionId)).done('Once upon a time.');
  assert.equal((await again)[0].text, 'Once upon a time.');
  assert.deepEqual(await contents(sessionId), ['Tell me a story.', 'Once upon a time.']);
});

test('errors have a code, a reason, and whether to repeat', OPTIONS, async () => {
  const sessionId = await create();
  const [invalid] = await call('send', sessionId, '');
  assert.deepEqual([invalid.code, invalid.status, invalid.retryable], ['VALIDATION_ERROR', 400, false]);
  assert.ok(invalid.error && invalid.reason);
  const [missing] = await call('send', randomUUID(), 'Hello.');
  assert.deepEqual([missing.code, missing.status, missing.retryable], ['SESSION_NOT_FOUND', 404, false]);

  gate.requests.length = 0;
  const body = JSON.stringify({ code: 'RATE_LIMIT_EXCEEDED', error: { message: 'Later.' }, details: {} });
  gate.next = [{ status: 429, headers: { 'Content-Type': 'application/json', 'Retry-After': '60' }, body }];
  const [busy] = await call('send', sessionId, 'Hello.');
  assert.deepEqual([busy.code, busy.retryable, busy.retry_after, gate.requests.length], ['RATE_LIMIT_EXCEEDED', true, 60, 1]);

  // What has no key is repeated only if the server has done nothing.
  gate.requests.length = 0;
  gate.next = ['drop'];
  const [lost] = await call('cancel', sessionId);
  assert.deepEqual([lost.code, lost.status, lost.retryable, gate.requests.length], ['UNREACHABLE', 0, false, 1]);
  gate.next = [{ status: 429, headers: { 'Content-Type': 'application/json', 'Retry-After': '0' }, body }];
  assert.deepEqual((await call('cancel', sessionId))[0].cancelled, []);
});
