// The search of the published npm package @elizaos/api-client: searchMessages of its
// MessagingService must return the server's whole answer.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { ApiError, ElizaClient } from '@elizaos/api-client';

const baseUrl = process.env.SESSIOND_URL;
assert.ok(baseUrl, 'SESSIOND_URL must name a running server');

const { messaging, sessions } = ElizaClient.create({ baseUrl });

const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';
const OPTIONS = { timeout: 60_000 };

test('searchMessages', OPTIONS, async () => {
  const userId = randomUUID();
  const word = `w${randomUUID()}`;
  const { sessionId } = await sessions.createSession({ agentId: ELIZA, userId });
  const { userMessage } = await sessions.sendMessageSync(sessionId, { content: `About ${word}.` });
  const begun = new Date(userMessage.createdAt);

  // The package declares `from` and `to` as dates.
  const search = { query: word.toUpperCase(), channelId: sessionId, from: begun, to: begun };
  const page = await messaging.searchMessages(search);
  assert.deepEqual(Object.keys(page), ['messages', 'complete']);
  assert.equal(page.complete, true);
  assert.equal(page.messages.length, 1);
  const [message] = page.messages;
  assert.equal(message.id, userMessage.id);
  assert.equal(message.content, `About ${word}.`);
  assert.equal(message.authorId, userId);
  assert.equal(message.channelId, sessionId);
  assert.equal(message.updatedAt, message.createdAt);
  assert.deepEqual(message.metadata, userMessage.metadata);
});

test('searchMessages in pages', OPTIONS, async () => {
  const { sessionId } = await sessions.createSession({ agentId: ELIZA, userId: randomUUID() });
  for (const content of ['One.', 'Two.', 'Three.']) {
    await sessions.sendMessageSync(sessionId, { content });
  }
  const found = [];
  let cursor;
  do {
    const page = await messaging.searchMessages({ channelId: sessionId, limit: 2, cursor });
    found.push(...page.messages.map(({ id }) => id));
    assert.equal(page.complete, page.nextCursor === undefined);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  const { messages } = await sessions.getMessages(sessionId);
  assert.deepEqual(found, messages.map(({ id }) => id));
});

test('searchMessages with an offset', OPTIONS, async () => {
  await assert.rejects(messaging.searchMessages({ query: 'x', offset: 20 }), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 400);
    assert.match(error.details, /use cursor/);
    return true;
  });
});
