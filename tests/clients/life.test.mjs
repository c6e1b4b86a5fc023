// The life of a conversation with the published clients: a reply is joined and stopped, a session
// named, continued after its end, found and erased. Runs the program for the published client of
// `docs/frontend.md`, and its functions for the client library. The agent at SESSIOND_STREAM_AGENT
// calls the webhook at SESSIOND_STREAM_PORT.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ApiError, ElizaClient } from '@elizaos/api-client';

import { Api, Client, EventStream } from './sockets.mjs';

const url = process.env.SESSIOND_URL;
const fastUrl = process.env.SESSIOND_FAST_URL;
const agentId = process.env.SESSIOND_STREAM_AGENT;
const port = process.env.SESSIOND_STREAM_PORT;
const document = process.env.SESSIOND_FRONTEND_DOCUMENT;
assert.ok(url && fastUrl && agentId && port && document, 'SESSIOND_… must name the servers');

const OPTIONS = { timeout: 60_000 };
const api = new Api(url);
const { sessions, messaging } = ElizaClient.create({ baseUrl: url });
const open = [];

/** The calls of the webhook that are not over. */
const calls = new Set();

/** Begins to tell a story, and never ends it. */
const webhook = createServer(async (request, response) => {
  for await (const _ of request);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write('event: chunk\ndata: {"chunk":"Once upon "}\n\n');
  response.write('event: chunk\ndata: {"chunk":"a time"}\n\n');
  const call = { closed: once(response, 'close') };
  calls.add(call);
  call.closed.then(() => calls.delete(call));
});

let examples;
let library;
let program;

before(async () => {
  await once(webhook.listen(port, '127.0.0.1'), 'listening');
  const text = await readFile(document, 'utf8');
  const blocks = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, block]) => block);
  const functions = blocks.filter((block) => /^async function/.test(block)).join('\n');
  const served = await (await fetch(`${url}/client.js`)).text();
  const module = (script) => import(`data:text/javascript,${encodeURIComponent(script)}`);
  examples = await module(`${functions}\nexport { edit, search };`);
  library = new (await module(served)).SessiondClient({ baseUrl: url });
  program = blocks.find((block) => block.includes("from '@elizaos/api-client'")).replace('http://127.0.0.1:3000', url);
});

after(() => {
  for (const one of open) one.close();
  webhook.closeAllConnections();
  webhook.close();
});

/** Starts a reply that does not end, in the view of a socket that has joined. */
async function streaming(message = {}) {
  const session = await api.create({ agentId });
  const client = new Client(url);
  open.push(client);
  await client.join(session.sessionId);
  const sent = api.call('POST', `/sessions/${session.sessionId}/messages`, {
    content: 'Tell me a story.', transport: 'websocket', ...message,
  });
  await client.get('messageStreamChunk', 2);
  return { session, client, sent, cancel: `/sessions/${session.sessionId}/cancel` };
}

test('a reply is joined in the middle, and stopped with what was said', OPTIONS, async () => {
  const { session, client, sent, cancel } = await streaming();
  const { userMessage } = (await sent).body;
  const late = new Client(url);
  const stream = await EventStream.open(url, session);
  open.push(late, stream);
  const { partial } = await late.join(session.sessionId);
  const chunks = client.named('messageStreamChunk');
  const expected = { messageId: chunks[0].messageId, text: 'Once upon a time', index: 1 };
  assert.deepEqual(partial, expected);
  assert.deepEqual((await stream.get('state')).partial, expected);

  const [call] = calls;
  const begun = performance.now();
  const [answer] = await Promise.all([api.done('POST', cancel), call.closed]);
  assert.ok(performance.now() - begun < 1000, 'the webhook is disconnected');
  assert.deepEqual(answer.cancelled, [userMessage.id]);
  assert.deepEqual(answer.data, { success: true, cancelled: [userMessage.id] });
  for (const one of [late, stream]) {
    const reply = await one.get('messageBroadcast');
    assert.equal(reply.id, partial.messageId);
    assert.equal(reply.text, 'Once upon a time');
    assert.equal(reply.metadata.interrupted, true);
    await one.get('messageComplete');
  }
  assert.deepEqual((await api.done('POST', cancel)).cancelled, []);
  const { messages } = await sessions.getMessages(session.sessionId);
  assert.deepEqual(messages.map(({ content }) => content), ['Once upon a time', 'Tell me a story.']);
});

test('a reply is stopped and dropped', OPTIONS, async () => {
  const { session, client, cancel } = await streaming();
  const waiting = sessions.sendMessageSync(session.sessionId, { content: 'And another one.' });
  waiting.catch(() => {});
  await client.wait(() => client.named('messageBroadcast').length === 2, 'the second message');
  const { cancelled } = await api.done('POST', cancel, { keepPartial: false });
  assert.equal(cancelled.length, 2);
  await assert.rejects(waiting, (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 409);
    assert.equal(error.code, 'TURN_CANCELLED');
    return true;
  });
  const failed = await client.get('messageStreamError');
  assert.equal(failed.partialText, 'Once upon a time');
  assert.equal(failed.reason, 'cancelled');
  const { messages } = await sessions.getMessages(session.sessionId);
  assert.deepEqual(messages.map(({ metadata }) => metadata.agentError.code), ['TURN_CANCELLED', 'TURN_CANCELLED']);
});

test('a session is named, and its room hears of it', OPTIONS, async () => {
  const session = await api.create({ metadata: { theme: 'dark' } });
  const client = new Client(url);
  const stream = await EventStream.open(url, session);
  open.push(client, stream);
  await client.join(session.sessionId);
  const change = { metadata: { title: 'Roses', theme: null } };
  const changed = await api.done('PATCH', `/sessions/${session.sessionId}`, change);
  assert.deepEqual(changed.metadata, { title: 'Roses' });
  for (const one of [client, stream]) {
    const { sessionId, metadata } = await one.get('sessionUpdated');
    assert.deepEqual({ sessionId, metadata }, { sessionId: session.sessionId, metadata: changed.metadata });
  }
  const { metadata } = await sessions.getSession(session.sessionId);
  assert.deepEqual(metadata, { title: 'Roses' });
});

test('a message is edited as the documents say', OPTIONS, async () => {
  const session = await api.create();
  for (const content of ['Hello.', 'My roses are ill.']) await api.post(session, content);
  const [, , second] = await api.history(session);
  await examples.edit(library, session, second, 'My tulips are ill.');
  const own = await api.done('GET', `/sessions?userId=${session.userId}`);
  const copy = own.sessions.find(({ sessionId }) => sessionId !== session.sessionId);
  assert.equal(copy.continuedFrom.sessionId, session.sessionId);
  assert.equal(copy.continuedFrom.copied, 2);
  assert.equal(copy.continuedFrom.complete, true);
  const texts = (await api.history(copy)).map(({ content }) => content);
  assert.equal(texts.length, 4);
  assert.deepEqual([texts[0], texts[2]], ['Hello.', 'My tulips are ill.']);

  // The first message has none before it.
  const [first] = await api.history(session);
  const { userMessage } = await examples.edit(library, session, first, 'Good evening.');
  const anew = await api.done('GET', `/sessions/${userMessage.channelId}`);
  assert.equal(anew.continuedFrom, undefined);
});

test('a session that has expired is found, read and continued', OPTIONS, async () => {
  const fast = new Api(fastUrl);
  const timeoutConfig = { timeoutMinutes: 1, autoRenew: false };
  const session = await fast.create({ timeoutConfig, metadata: { title: 'Yesterday' } });
  await fast.post(session, 'I remember the garden.');
  const stream = await EventStream.open(fastUrl, session);
  open.push(stream);
  await stream.get('sessionExpired');
  const found = await fast.done('GET', `/sessions?status=expired&q=yesterday&userId=${session.userId}`);
  assert.deepEqual(found.sessions.map(({ sessionId }) => sessionId), [session.sessionId]);
  assert.equal(found.sessions[0].status, 'expired');
  assert.ok(new Date(found.sessions[0].retainedUntil) > new Date(found.sessions[0].expiresAt));
  const { messages } = await fast.done('POST', '/messages/search', { query: 'GARDEN', userId: session.userId });
  assert.ok(messages.some(({ sessionId }) => sessionId === session.sessionId));
  const { userId } = session;
  const next = await fast.create({ userId, continueFrom: { sessionId: session.sessionId } });
  assert.equal(next.continuedFrom.copied, 2);
  const [first] = await fast.history(next);
  assert.equal(first.content, 'I remember the garden.');
});

test('a person is found and erased as the documents say', OPTIONS, async () => {
  const word = `w${randomUUID()}`;
  const userId = randomUUID();
  const created = [];
  for (let index = 0; index < 3; index += 1) {
    created.push(await api.create({ userId }));
    await api.post(created[index], `About ${word}, number ${index}.`);
  }
  const found = [];
  for await (const { content } of examples.search(library, word.toUpperCase())) found.push(content);
  const own = found.filter((content) => content.startsWith('About '));
  assert.deepEqual(own, [2, 1, 0].map((index) => `About ${word}, number ${index}.`));
  const client = new Client(url);
  open.push(client);
  await client.join(created[0].sessionId);
  assert.equal(await library.deleteUserSessions(userId), 3);
  await client.get('channelDeleted');
  for await (const { id } of examples.search(library, word)) assert.fail(`${id} is still found`);
  assert.deepEqual((await messaging.searchMessages({ userId })).messages, []);
  assert.equal(await library.deleteUserSessions(userId), 0);
});

test('the program of the documents prints a reply', OPTIONS, async (t) => {
  const file = join(import.meta.dirname, 'published.mjs');
  await writeFile(file, program);
  t.after(() => rm(file));
  const lines = [];
  t.mock.method(console, 'log', (line) => lines.push(line));
  await import(file);
  assert.equal(lines.length, 1);
  assert.match(lines[0], /./);
});

test('who a client is', OPTIONS, async () => {
  const response = await fetch(`${url}/api/auth/me`);
  assert.deepEqual(await response.json(), { role: 'anonymous' });
});
