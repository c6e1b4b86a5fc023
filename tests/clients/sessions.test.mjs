// The published npm package @elizaos/api-client against a running server: each call of its
// SessionsService, and the two of its AgentsService that the server has, must return what the
// package's types promise. SESSIOND_URL names the server; it has the built-in agent.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ApiError, ElizaClient } from '@elizaos/api-client';

const baseUrl = process.env.SESSIOND_URL;
assert.ok(baseUrl, 'SESSIOND_URL must name a running server');

const { sessions, agents } = ElizaClient.create({ baseUrl });

const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const OPTIONS = { timeout: 60_000 };

// ---- What the types promise -------------------------------------------------------------------

/** The package declares times as Date; in JSON they are strings that Date can parse. */
function assertTime(value, name) {
  assert.match(value, TIME, name);
  assert.ok(!Number.isNaN(new Date(value).getTime()), `${name} is a time`);
}

/** CreateSessionResponse and SessionInfoResponse, with the fields that the server adds. */
function assertSessionInfo(info, { userId, metadata }) {
  assert.match(info.sessionId, UUID, 'sessionId');
  assert.equal(info.channelId, info.sessionId, 'a session is its own channel');
  assert.equal(info.agentId, ELIZA, 'agentId');
  assert.equal(info.userId, userId, 'userId');
  assert.deepEqual(info.metadata, metadata, 'metadata');
  assertTime(info.createdAt, 'createdAt');
  assertTime(info.lastActivity, 'lastActivity');
  assertTime(info.expiresAt, 'expiresAt');
  assert.equal(typeof info.renewalCount, 'number', 'renewalCount');
  assert.ok(info.timeRemaining > 0, 'timeRemaining');
  assert.equal(typeof info.isNearExpiration, 'boolean', 'isNearExpiration');
  assert.deepEqual(
    Object.keys(info.timeoutConfig).sort(),
    ['autoRenew', 'maxDurationMinutes', 'timeoutMinutes', 'warningThresholdMinutes'],
    'timeoutConfig',
  );
}

/** MessageResponse. */
function assertMessageResponse(response, { content, session }) {
  assert.equal(response.success, true, 'success');

  const { userMessage, sessionStatus } = response;
  assert.match(userMessage.id, UUID, 'userMessage.id');
  assert.equal(userMessage.content, content, 'userMessage.content');
  assert.equal(userMessage.authorId, session.userId, 'userMessage.authorId');
  assertTime(userMessage.createdAt, 'userMessage.createdAt');
  assert.equal(userMessage.metadata.sessionId, session.sessionId, 'userMessage.metadata.sessionId');

  assertTime(sessionStatus.expiresAt, 'sessionStatus.expiresAt');
  assert.equal(typeof sessionStatus.renewalCount, 'number', 'sessionStatus.renewalCount');
  assert.equal(typeof sessionStatus.wasRenewed, 'boolean', 'sessionStatus.wasRenewed');
  assert.equal(typeof sessionStatus.isNearExpiration, 'boolean', 'sessionStatus.isNearExpiration');
}

/** SimplifiedMessage. */
function assertListedMessage(message, session) {
  assert.match(message.id, UUID, 'id');
  assert.equal(typeof message.content, 'string', 'content');
  assert.equal(typeof message.isAgent, 'boolean', 'isAgent');
  assert.equal(message.authorId, message.isAgent ? ELIZA : session.userId, 'authorId');
  assertTime(message.createdAt, 'createdAt');
  assert.equal(message.metadata.sessionId, session.sessionId, 'metadata.sessionId');
}

/** Asserts that the call fails with the package's error, with all fields filled by the server. */
async function assertFails(call, { status, code, message }) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ApiError, `an ApiError, not ${error}`);
    assert.equal(error.status, status, 'status');
    assert.equal(error.code, code, 'code');
    assert.equal(typeof error.details, 'string', 'the package drops details that are not a string');
    assert.notEqual(error.message, '', 'message');
    if (message !== undefined) assert.equal(error.message, message, 'message');
    return true;
  });
}

// ---- Helpers ----------------------------------------------------------------------------------

async function openSession(metadata = {}) {
  return sessions.createSession({ agentId: ELIZA, userId: randomUUID(), metadata });
}

/** Creates a session with `turns` messages of the user and their replies. */
async function openConversation(turns) {
  const session = await openSession();
  for (let turn = 1; turn <= turns; turn += 1) {
    await sessions.sendMessageSync(session.sessionId, { content: `Message ${turn}` });
  }
  const { messages } = await sessions.getMessages(session.sessionId, { limit: 100 });
  assert.equal(messages.length, 2 * turns, 'each message has its reply');
  return { session, messages };
}

/** Waits for a message of the history that `wanted` accepts, and returns it. */
async function waitForMessage(sessionId, wanted) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const { messages } = await sessions.getMessages(sessionId);
    const found = messages.find(wanted);
    if (found) return found;
    await sleep(50);
  }
  return assert.fail('the message never arrived');
}

const ids = ({ messages }) => messages.map((message) => message.id);

// ---- Health and agents ------------------------------------------------------------------------

test('checkHealth', OPTIONS, async () => {
  const health = await sessions.checkHealth();
  assert.equal(health.status, 'healthy');
  assert.ok(Number.isInteger(health.activeSessions) && health.activeSessions >= 0);
  assertTime(health.timestamp, 'timestamp');
});

describe('agents', OPTIONS, () => {
  test('listAgents', async () => {
    const list = await agents.listAgents();
    const eliza = list.agents.find((agent) => agent.id === ELIZA);
    assert.ok(eliza, 'the built-in agent is listed');
    assert.equal(eliza.name, 'Eliza');
    assert.equal(eliza.characterName, 'Eliza');
    assert.equal(typeof eliza.bio, 'string');
    assert.equal(eliza.status, 'active');
    assert.equal(eliza.enabled, true);
    assert.ok(Number.isInteger(eliza.createdAt), 'createdAt is in epoch milliseconds');
    assert.ok(Number.isInteger(eliza.updatedAt), 'updatedAt is in epoch milliseconds');
  });

  test('getAgent', async () => {
    const eliza = await agents.getAgent(ELIZA);
    assert.equal(eliza.id, ELIZA);
    assert.equal(eliza.name, 'Eliza');
    assert.ok(typeof eliza.bio === 'string' || Array.isArray(eliza.bio));
    assert.equal(eliza.status, 'active');
    assert.ok(Number.isInteger(eliza.createdAt));
    for (const hidden of ['settings', 'secrets', 'knowledge']) {
      assert.ok(!(hidden in eliza), `${hidden} stays in the server`);
    }
  });

  test('getAgent of an unknown agent', async () => {
    await assertFails(agents.getAgent(randomUUID()), { status: 404, code: 'AGENT_NOT_FOUND' });
  });
});

// ---- The life of a session --------------------------------------------------------------------

describe('sessions', OPTIONS, () => {
  test('createSession', async () => {
    const userId = randomUUID();
    const metadata = { platform: 'web', username: 'ada', level: 3, beta: true };
    const session = await sessions.createSession({ agentId: ELIZA, userId, metadata });
    assertSessionInfo(session, { userId, metadata });
  });

  test('createSession without metadata', async () => {
    const userId = randomUUID();
    const session = await sessions.createSession({ agentId: ELIZA, userId });
    assertSessionInfo(session, { userId, metadata: {} });
  });

  test('createSession reads ids in any case', async () => {
    const userId = randomUUID();
    const session = await sessions.createSession({
      agentId: ELIZA.toUpperCase(),
      userId: userId.toUpperCase(),
    });
    assertSessionInfo(session, { userId, metadata: {} });
  });

  test('getSession', async () => {
    const metadata = { platform: 'web' };
    const created = await openSession(metadata);
    const read = await sessions.getSession(created.sessionId);
    assertSessionInfo(read, { userId: created.userId, metadata });
    const { timeRemaining, ...lasting } = created;
    const { timeRemaining: left, ...readLasting } = read;
    assert.deepEqual(readLasting, lasting, 'reading changes nothing');
    assert.ok(left <= timeRemaining, 'time passes');
  });

  test('listSessions', async () => {
    const created = await openSession();
    const list = await sessions.listSessions();
    const listed = list.sessions.find(({ sessionId }) => sessionId === created.sessionId);
    assert.ok(listed, 'a session is listed as soon as it exists');
    assertSessionInfo(listed, { userId: created.userId, metadata: {} });
    assert.ok(Number.isInteger(list.total) && list.total >= 1, 'total');
    assert.ok(list.stats.activeSessions >= 1, 'stats.activeSessions');
  });

  test('deleteSession', async () => {
    const { sessionId } = await openSession();
    const answer = await sessions.deleteSession(sessionId);
    assert.equal(answer.success, true);

    const gone = { status: 404, code: 'SESSION_NOT_FOUND', message: 'Session not found' };
    await assertFails(sessions.getSession(sessionId), gone);
    await assertFails(sessions.getMessages(sessionId), gone);
    await assertFails(sessions.sendMessage(sessionId, { content: 'Hello' }), gone);
    await assertFails(sessions.deleteSession(sessionId), gone);

    const list = await sessions.listSessions();
    assert.ok(!list.sessions.some((session) => session.sessionId === sessionId));
  });
});

// ---- Messages ---------------------------------------------------------------------------------

describe('sendMessage', OPTIONS, () => {
  test('answers at once, and the reply is stored later', async () => {
    const session = await openSession({ platform: 'web' });
    const content = 'Hello, I feel a little tired today.';
    const response = await sessions.sendMessage(session.sessionId, { content });
    assertMessageResponse(response, { content, session });
    assert.ok(!('agentResponse' in response), 'only "http" waits for the reply');
    assert.equal(response.userMessage.metadata.platform, 'web', "the session's metadata is there");

    const reply = await waitForMessage(session.sessionId, ({ isAgent }) => isAgent);
    assertListedMessage(reply, session);
    assert.equal(reply.inReplyTo, response.userMessage.id);
  });

  test('stores metadata and attachments', async () => {
    const session = await openSession({ platform: 'web', username: 'ada' });
    const attachments = [{ type: 'image', url: 'https://example.com/cat.png', name: 'cat.png' }];
    const { userMessage } = await sessions.sendMessage(session.sessionId, {
      content: 'Look at this.',
      attachments,
      metadata: { username: 'countess', priority: 'high', tags: ['cat'], sessionId: 'mine' },
    });
    const metadata = {
      platform: 'web',
      username: 'countess',
      priority: 'high',
      tags: ['cat'],
      sessionId: session.sessionId,
    };
    assert.deepEqual(userMessage.attachments, attachments);
    assert.deepEqual(userMessage.metadata, metadata);

    const listed = await waitForMessage(session.sessionId, ({ id }) => id === userMessage.id);
    assert.deepEqual(listed.attachments, attachments);
    assert.deepEqual(listed.metadata, metadata);
  });

  test('with transport "http" waits for the reply', async () => {
    const session = await openSession();
    const content = 'Can you hear me?';
    const response = await sessions.sendMessage(session.sessionId, { content, transport: 'http' });
    assertMessageResponse(response, { content, session });
    assert.equal(typeof response.agentResponse.text, 'string');
  });

  // The package cannot read event streams: it waits for the end, and treats what is not JSON as an
  // empty answer.
  test('with transport "sse" returns when the reply is stored', async () => {
    const session = await openSession();
    const response = await sessions.sendMessage(session.sessionId, {
      content: 'Tell me more.',
      transport: 'sse',
    });
    assert.equal(response.success, true);
    const { messages } = await sessions.getMessages(session.sessionId);
    assert.deepEqual(messages.map(({ isAgent }) => isAgent), [true, false]);
  });

  test('counts Unicode characters, not UTF-16 units', async () => {
    const session = await openSession();
    const content = '\u{1F600}'.repeat(4000);
    const response = await sessions.sendMessage(session.sessionId, { content });
    assertMessageResponse(response, { content, session });
  });
});

test('sendMessageSync', OPTIONS, async () => {
  const session = await openSession();
  const content = 'I am thinking of my mother.';
  const response = await sessions.sendMessageSync(session.sessionId, { content });
  assertMessageResponse(response, { content, session });

  const { agentResponse } = response;
  assert.equal(typeof agentResponse.text, 'string');
  assert.notEqual(agentResponse.text, '');
  assert.equal(agentResponse.inReplyTo, response.userMessage.id);
  assertTime(agentResponse.createdAt, 'agentResponse.createdAt');
  if ('thought' in agentResponse) assert.equal(typeof agentResponse.thought, 'string');
  if ('actions' in agentResponse) assert.ok(Array.isArray(agentResponse.actions));

  const { messages, hasMore } = await sessions.getMessages(session.sessionId);
  assert.deepEqual(
    messages.map(({ id, content: text }) => [id, text]),
    [
      [agentResponse.id, agentResponse.text],
      [response.userMessage.id, content],
    ],
    'the history has both, newest first',
  );
  assert.equal(hasMore, false);
});

describe('getMessages', OPTIONS, () => {
  test('of a new session', async () => {
    const { sessionId } = await openSession();
    const page = await sessions.getMessages(sessionId);
    assert.deepEqual(page, { messages: [], hasMore: false });
  });

  test('lists newest first', async () => {
    const { session, messages } = await openConversation(3);
    for (const message of messages) assertListedMessage(message, session);
    const times = messages.map(({ createdAt }) => Date.parse(createdAt));
    for (let i = 1; i < times.length; i += 1) {
      assert.ok(times[i] < times[i - 1], 'no two messages have the same time');
    }
    const texts = messages.filter(({ isAgent }) => !isAgent).map(({ content }) => content);
    assert.deepEqual(texts, ['Message 3', 'Message 2', 'Message 1']);
  });

  test('with a limit', async () => {
    const { session, messages } = await openConversation(3);
    const all = ids({ messages });

    const page = await sessions.getMessages(session.sessionId, { limit: 4 });
    assert.deepEqual(ids(page), all.slice(0, 4));
    assert.equal(page.hasMore, true);
    assert.equal(page.cursors.before, Date.parse(page.messages.at(-1).createdAt));
    assert.equal(page.cursors.after, Date.parse(page.messages[0].createdAt));

    const exact = await sessions.getMessages(session.sessionId, { limit: 6 });
    assert.deepEqual(ids(exact), all);
    assert.equal(exact.hasMore, false, 'hasMore is exact');
  });

  // The three forms of a time that the package accepts; the page must be the same.
  const spellings = [
    ['a Date', (message) => new Date(message.createdAt)],
    ['a string', (message) => message.createdAt],
    ['a number', (message) => Date.parse(message.createdAt)],
  ];
  for (const [name, spelling] of spellings) {
    test(`before ${name}`, async () => {
      const { session, messages } = await openConversation(3);
      const before = spelling(messages[2]);
      const page = await sessions.getMessages(session.sessionId, { limit: 2, before });
      assert.deepEqual(ids(page), ids({ messages }).slice(3, 5), 'the newest two before it');
      assert.equal(page.hasMore, true);
    });

    test(`after ${name}`, async () => {
      const { session, messages } = await openConversation(3);
      const after = spelling(messages[4]);
      const page = await sessions.getMessages(session.sessionId, { limit: 2, after });
      assert.deepEqual(ids(page), ids({ messages }).slice(2, 4), 'the oldest two after it');
      assert.equal(page.hasMore, true);
    });

    test(`between two times, each ${name}`, async () => {
      const { session, messages } = await openConversation(3);
      const page = await sessions.getMessages(session.sessionId, {
        before: spelling(messages[0]),
        after: spelling(messages[4]),
      });
      assert.deepEqual(ids(page), ids({ messages }).slice(1, 4));
      assert.equal(page.hasMore, false);
    });
  }

  test('pages back and forth over the whole history', async () => {
    const { session, messages } = await openConversation(4);
    const all = ids({ messages });

    const back = [];
    let page = await sessions.getMessages(session.sessionId, { limit: 3 });
    while (page.cursors) {
      back.push(...ids(page));
      const { before } = page.cursors;
      page = await sessions.getMessages(session.sessionId, { limit: 3, before });
    }
    assert.deepEqual(back, all);

    const forth = [];
    let after = Date.parse(messages.at(-1).createdAt) - 1;
    do {
      page = await sessions.getMessages(session.sessionId, { limit: 3, after });
      forth.unshift(...ids(page));
      after = page.cursors.after;
    } while (page.hasMore);
    assert.deepEqual(forth, all);
  });
});

// ---- Refusals ---------------------------------------------------------------------------------

describe('errors', OPTIONS, () => {
  const noSession = { status: 404, code: 'SESSION_NOT_FOUND', message: 'Session not found' };

  test('an unknown session', async () => {
    const unknown = randomUUID();
    await assertFails(sessions.getSession(unknown), noSession);
    await assertFails(sessions.getMessages(unknown), noSession);
    await assertFails(sessions.sendMessage(unknown, { content: 'Hello' }), noSession);
    await assertFails(sessions.sendMessageSync(unknown, { content: 'Hello' }), noSession);
    await assertFails(sessions.deleteSession(unknown), noSession);
  });

  test('an id that is not a UUID', async () => {
    await assertFails(sessions.getSession('abc-123'), noSession);
  });

  test('an unknown agent', async () => {
    await assertFails(
      sessions.createSession({ agentId: randomUUID(), userId: randomUUID() }),
      { status: 404, code: 'AGENT_NOT_FOUND' },
    );
  });

  const invalid = { status: 400, code: 'VALIDATION_ERROR' };

  test('a session without its user', async () => {
    await assertFails(sessions.createSession({ agentId: ELIZA }), invalid);
  });

  test('a user that is not a UUID', async () => {
    await assertFails(sessions.createSession({ agentId: ELIZA, userId: 'ada' }), invalid);
  });

  test('metadata that is not an object', async () => {
    const params = { agentId: ELIZA, userId: randomUUID(), metadata: ['web'] };
    await assertFails(sessions.createSession(params), invalid);
  });

  test('invalid content', async () => {
    const { sessionId } = await openSession();
    const tooLong = 'x'.repeat(4001);
    await assertFails(sessions.sendMessage(sessionId, { content: tooLong }), invalid);
    await assertFails(sessions.sendMessageSync(sessionId, { content: tooLong }), invalid);
    await assertFails(sessions.sendMessage(sessionId, { content: 'x', transport: 'pigeon' }), invalid);

    const page = await sessions.getMessages(sessionId);
    assert.deepEqual(page.messages, [], 'a refused message is not stored');
  });

  test('an invalid cursor', async () => {
    const { sessionId } = await openSession();
    await assertFails(sessions.getMessages(sessionId, { before: 1.5 }), invalid);
  });
});
