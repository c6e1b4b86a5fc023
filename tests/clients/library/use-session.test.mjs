// The React hook of `data/examples`, with the published react and react-dom in happy-dom.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { Window } from 'happy-dom';

import { EXAMPLES, Gate, OPTIONS, STORYTELLER, Server, Storyteller, load, until } from './servers.mjs';

// React looks for the document when it is imported.
const window = new Window();
Object.assign(globalThis, { window, document: window.document });
globalThis.navigator ??= window.navigator;
const { StrictMode, createElement } = await import('react');
const { createRoot } = await import('react-dom/client');

let agent;
let server;
let library;
let useSession;
/** A client whose connections nothing disturbs. */
let direct;
let gate;
let client;
/** The page's requests for events. */
let streams;
/** Called before the first of them is sent. */
let beforeEvents;
let root;
let container;
/** What the hook returned last. */
let chat;
/** The texts of each time that the page was rendered. */
let shown;

before(async () => {
  agent = await Storyteller.open();
  server = await Server.start({ agent });
  library = await load(server);
  const copy = join(library.directory, 'use-session.js');
  await copyFile(join(EXAMPLES, 'use-session.js'), copy);
  ({ useSession } = await import(copy));
  direct = new library.SessiondClient({ baseUrl: server.url });
});

beforeEach(async () => {
  gate = await Gate.open(server);
  streams = [];
  shown = [];
  beforeEvents = undefined;
  const observed = async (url, init) => {
    if (url.endsWith('/events') && streams.push(init) === 1) await beforeEvents?.();
    return fetch(url, init);
  };
  client = new library.SessiondClient({ baseUrl: gate.url, fetch: observed });
  container = document.body.appendChild(document.createElement('div'));
  root = createRoot(container);
});

afterEach(() => {
  root.unmount();
  container.remove();
  gate.close();
});

after(async () => {
  agent.close();
  await Promise.all([server.remove(), rm(library.directory, { recursive: true }), window.happyDOM.close()]);
});

function Page({ sessionId }) {
  chat = useSession(client, sessionId);
  const texts = [...chat.messages.map(({ content }) => content), chat.draft].filter(Boolean);
  shown.push(texts);
  return createElement('ol', null, texts.map((text, index) => createElement('li', { key: index }, text)));
}

const open = (sessionId) => root.render(createElement(StrictMode, null, createElement(Page, { sessionId })));
const lines = () => [...container.querySelectorAll('li')].map(({ textContent }) => textContent);
const showing = (...expected) => until(() => lines().join('|') === expected.join('|'), `the page shows ${expected}`);
const create = async () => (await direct.createSession({ agentId: STORYTELLER, userId: randomUUID() })).sessionId;
const contents = async (id) => (await direct.messages(id)).messages.map(({ content }) => content).reverse();

/** Returns what the user has written. */
async function questions(id) {
  const { messages } = await direct.messages(id);
  return messages.filter(({ isAgent }) => !isAgent).map(({ content }) => content).reverse();
}

/** Opens a page on a session with one message and its reply. */
async function opened() {
  const sessionId = await create();
  const sending = direct.send(sessionId, { content: 'One.', transport: 'http' });
  (await agent.next(sessionId)).done('First.');
  await sending;
  open(sessionId);
  await showing('One.', 'First.');
  await until(() => chat.isConnected, 'the page is connected');
  return sessionId;
}

test('messages are listed and a reply is streamed, once each, in strict mode', OPTIONS, async () => {
  const sessionId = await opened();
  assert.equal(streams.length, 1, 'the first run of the effect was ended');
  assert.deepEqual([chat.isBusy, chat.error], [false, null]);
  const sending = chat.send('Two.');
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await showing('One.', 'First.', 'Two.', 'Once upon ');
  assert.equal(chat.isBusy, true);
  call.say('a time');
  await showing('One.', 'First.', 'Two.', 'Once upon a time');
  call.done('Once upon a time.');
  await showing('One.', 'First.', 'Two.', 'Once upon a time.');
  await sending;
  await until(() => !chat.isBusy, 'the page is not busy');
  assert.deepEqual(await contents(sessionId), lines());
  const [, , question, reply] = chat.messages;
  assert.deepEqual([question.isAgent, reply.isAgent, chat.draft], [false, true, '']);
  // An event shows a message like the history.
  const [stored] = (await direct.messages(sessionId)).messages;
  for (const name of ['id', 'content', 'createdAt', 'metadata']) assert.deepEqual(reply[name], stored[name]);
});

test('what another client does is shown, also before the page listens', OPTIONS, async () => {
  const sessionId = await create();
  beforeEvents = () => direct.send(sessionId, { content: 'From elsewhere.' });
  open(sessionId);
  await showing('From elsewhere.');
  (await agent.next(sessionId)).done('Welcome.');
  await showing('From elsewhere.', 'Welcome.');
});

test('a page that is opened in the middle of a reply shows it', OPTIONS, async () => {
  const sessionId = await create();
  await direct.send(sessionId, { content: 'One.' });
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  open(sessionId);
  await showing('One.', 'Once upon ');
  call.done('Once upon a time.');
  await showing('One.', 'Once upon a time.');
});

test('a reply is stopped, and what was said stays', OPTIONS, async () => {
  const sessionId = await opened();
  await chat.send('Two.');
  const call = await agent.next(sessionId);
  call.say('Once upon ');
  await showing('One.', 'First.', 'Two.', 'Once upon ');
  await chat.stop();
  await call.closed;
  await until(() => chat.messages.length === 4, 'the reply is stored');
  assert.deepEqual([chat.messages[3].metadata.interrupted, chat.error], [true, null]);
  // One of which nothing was said.
  await chat.send('Three.');
  await agent.next(sessionId);
  await until(() => chat.isBusy, 'the reply is awaited');
  await chat.stop();
  await until(() => !chat.isBusy, 'the reply has ended');
  assert.equal(chat.error, null, 'a reply that was stopped is not an error');
});

test('errors are shown, and what failed is sent again without being stored twice', OPTIONS, async () => {
  const sessionId = await opened();
  await chat.send('Two.');
  const call = await agent.next(sessionId);
  call.say('Once');
  call.fail();
  await until(() => chat.error, 'the error is shown');
  assert.deepEqual([chat.error.reason, chat.draft], ['invalid_reply', '']);
  assert.ok(chat.error.message);
  await chat.retry();
  (await agent.next(sessionId)).done('Second.');
  await showing('One.', 'First.', 'Two.', 'Second.');
  assert.equal(chat.error, null);

  await chat.send('');
  await until(() => chat.error, 'the error is shown');
  assert.ok(chat.error instanceof library.SessiondError);
  assert.deepEqual([chat.error.code, chat.error.retryable], ['VALIDATION_ERROR', false]);
  assert.deepEqual(await contents(sessionId), ['One.', 'First.', 'Two.', 'Second.']);
});

test('a lost connection is resumed without a gap', OPTIONS, async () => {
  const sessionId = await opened();
  gate.next = Array(2).fill({ status: 503 });
  gate.cut();
  await until(() => !chat.isConnected, 'the page knows it');
  await direct.send(sessionId, { content: 'Two.' });
  (await agent.next(sessionId)).done('Second.');
  await showing('One.', 'First.', 'Two.', 'Second.');
  await until(() => chat.isConnected, 'the page is connected again');
  assert.equal(chat.error, null);
});

test('a page that is closed ends its requests', OPTIONS, async () => {
  const sessionId = await opened();
  await chat.send('Two.');
  (await agent.next(sessionId)).say('Once upon ');
  await showing('One.', 'First.', 'Two.', 'Once upon ');
  const count = shown.length;
  root.unmount();
  await until(() => streams[0].signal.aborted, 'the event stream is closed');
  await direct.deleteSession(sessionId);
  assert.equal(shown.length, count);
});

test('another session replaces the one before', OPTIONS, async () => {
  const first = await opened();
  const second = await create();
  await direct.send(second, { content: 'Elsewhere.' });
  (await agent.next(second)).done('Here.');
  await until(async () => (await contents(second)).length === 2, 'the reply is stored');
  shown = [];
  open(second);
  await showing('Elsewhere.', 'Here.');
  await direct.send(first, { content: 'Is this shown?' });
  await direct.deleteSession(second);
  await until(() => chat.hasEnded, 'the end is shown');
  assert.deepEqual(lines(), ['Elsewhere.', 'Here.']);
  open(randomUUID());
  await until(() => chat.error, 'the error is shown');
  assert.deepEqual([chat.error.code, chat.messages], ['SESSION_NOT_FOUND', []]);
});

test('a page that is opened while the server is away shows the session later', OPTIONS, async () => {
  const sessionId = await create();
  await direct.send(sessionId, { content: 'One.' });
  (await agent.next(sessionId)).done('First.');
  await until(async () => (await contents(sessionId)).length === 2, 'the reply is stored');
  let attempts = 0;
  const away = async (url, init) => {
    attempts += 1;
    return attempts > 4 ? fetch(url, init) : new Response('', { status: 503 });
  };
  client = new library.SessiondClient({ baseUrl: gate.url, fetch: away, retries: 0 });
  open(sessionId);
  await showing('One.', 'First.');
  await until(() => chat.isConnected, 'the page is connected');
  assert.equal(chat.error, null);
});

test('messages that are sent at once are stored in order', OPTIONS, async () => {
  // The first one reaches the server last, if nothing waits for it.
  const delayed = async (url, init) => {
    if (init.body?.includes('Two.')) await new Promise((resolve) => setTimeout(resolve, 300));
    return fetch(url, init);
  };
  client = new library.SessiondClient({ baseUrl: gate.url, fetch: delayed });
  const sessionId = await opened();
  await Promise.all(['Two.', 'Three.', 'Four.'].map((content) => chat.send(content)));
  assert.deepEqual(await questions(sessionId), ['One.', 'Two.', 'Three.', 'Four.']);
});

test('a message that could not be sent is not lost, and the next one follows it', OPTIONS, async () => {
  let isAway = true;
  const refusing = (url, init) => (isAway && init.method === 'POST' ? Promise.resolve(new Response('', { status: 503 })) : fetch(url, init));
  client = new library.SessiondClient({ baseUrl: gate.url, fetch: refusing, retries: 0 });
  const sessionId = await opened();
  await Promise.all([chat.send('Two.'), chat.send('Three.')]);
  await until(() => chat.error?.retryable, 'the error is shown');
  isAway = false;
  await chat.send('Four.');
  (await agent.next(sessionId)).done('Yes.');
  assert.deepEqual(await questions(sessionId), ['One.', 'Two.', 'Three.', 'Four.']);
  assert.equal(chat.error, null);
});
