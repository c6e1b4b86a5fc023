// The ChatTransport with the chat of a version of the published npm package `ai`.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { Gate, OPTIONS, STORYTELLER, Server, Storyteller, load, until } from './servers.mjs';

/** Registers the tests, for the `AbstractChat` of a version. */
export function testWith(AbstractChat) {
  let agent;
  let server;
  let library;
  let client;

  before(async () => {
    agent = await Storyteller.open();
    server = await Server.start({ agent });
    library = await load(server, 'chat-transport');
    client = new library.SessiondClient({ baseUrl: server.url });
  });

  after(async () => {
    agent.close();
    await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
  });

  /** What a framework's state is to a chat. */
  class State {
    status = 'ready';
    error = undefined;

    constructor(messages = []) {
      this.messages = messages;
    }

    pushMessage(message) {
      this.messages = [...this.messages, message];
    }

    popMessage() {
      this.messages = this.messages.slice(0, -1);
    }

    replaceMessage(index, message) {
      this.messages = this.messages.with(index, structuredClone(message));
    }

    snapshot(value) {
      return structuredClone(value);
    }
  }

  class Chat extends AbstractChat {
    constructor({ messages, ...init }) {
      super({ ...init, state: new State(messages) });
    }
  }

  const userId = randomUUID();

  /** Creates a chat whose session is made when it is first needed. */
  function open({ id = randomUUID(), client: used = client, ...more } = {}) {
    const data = [];
    const branches = [];
    const transport = new library.SessiondChatTransport({
      client: used,
      session: async (chatId) => (await used.createSession({ agentId: STORYTELLER, userId }, { key: chatId })).sessionId,
      onSession: (chatId, session) => branches.push({ chatId, session }),
    });
    const chat = new Chat({ id, transport, onData: (part) => data.push(part), ...more });
    return { chat, data, branches };
  }

  const textOf = ({ parts }) => parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('|');
  const texts = (chat) => chat.messages.map(textOf);
  const last = (chat) => chat.messages.at(-1);
  const contents = async (id) => (await client.messages(id)).messages.map(({ content }) => content).reverse();

  test('a message is sent and its reply shown as it is written', OPTIONS, async () => {
    const { chat, data } = open();
    const sending = chat.sendMessage({
      text: 'Tell me a story.', metadata: { mood: 'calm' },
      files: [{ type: 'file', mediaType: 'image/png', url: 'https://pictures.example/1.png', filename: 'one.png' }],
    });
    const call = await agent.next();
    call.act({ kind: 'thinking', text: 'Which one?' });
    call.act({ kind: 'tool', name: 'library', state: 'started' });
    call.say('Once upon ');
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown');
    assert.equal(chat.status, 'streaming');
    call.say('a time');
    call.done('Once upon a time', { attachments: [{ type: 'image/png', url: 'https://pictures.example/2.png' }] });
    await sending;
    assert.equal(chat.status, 'ready');
    const reply = last(chat);
    assert.equal(reply.role, 'assistant');
    assert.deepEqual(reply.parts.map(({ type, text, url, state }) => [type, text ?? url, state]), [
      ['reasoning', 'Which one?', 'done'], ['text', 'Once upon a time', 'done'], ['file', 'https://pictures.example/2.png', undefined],
    ]);
    assert.deepEqual(data.map(({ type, data: { name, state } }) => [type, name, state]), [['data-activity', 'library', 'started']]);
    const sessionId = call.body.sessionId;
    const [stored, question] = (await client.messages(sessionId)).messages;
    assert.equal(reply.id, stored.id);
    assert.equal(reply.metadata.createdAt, stored.createdAt);
    assert.equal(question.metadata.mood, 'calm');
    assert.deepEqual(question.attachments, [{ type: 'image/png', url: 'https://pictures.example/1.png', name: 'one.png' }]);

    const again = chat.sendMessage({ text: 'Go on.' });
    (await agent.next()).done('The end.');
    await again;
    assert.deepEqual(texts(chat), ['Tell me a story.', 'Once upon a time', 'Go on.', 'The end.']);
    assert.deepEqual(texts(chat), await contents(sessionId));
    const loaded = library.toUIMessages((await client.messages(sessionId)).messages);
    assert.deepEqual(loaded.map(textOf), texts(chat));
    assert.deepEqual(loaded.map(({ role }) => role), ['user', 'assistant', 'user', 'assistant']);
    assert.equal(loaded[1].parts[0].url, 'https://pictures.example/2.png');
  });

  test('a lost connection is not seen', OPTIONS, async (t) => {
    const gate = await Gate.open(server);
    t.after(() => gate.close());
    const { chat } = open({ client: new library.SessiondClient({ baseUrl: gate.url }) });
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.say('Once upon ');
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown');
    gate.cut();
    call.say('a time');
    call.done('Once upon a time');
    await sending;
    assert.deepEqual([chat.status, textOf(last(chat))], ['ready', 'Once upon a time']);
    assert.equal(last(chat).parts.length, 1);
  });

  test('a reply that fails is an error, and regenerated in its place', OPTIONS, async () => {
    const { chat, branches } = open();
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.say('Once');
    call.fail();
    await sending;
    assert.equal(chat.status, 'error');
    assert.ok(chat.error instanceof library.SessiondError);
    assert.deepEqual([chat.error.code, chat.error.reason], ['AGENT_ERROR', 'invalid_reply']);
    const again = chat.regenerate();
    (await agent.next()).done('Once upon a time.');
    await again;
    assert.deepEqual([chat.status, branches.length], ['ready', 0]);
    assert.deepEqual(texts(chat), ['Tell me a story.', 'Once upon a time.']);
    assert.deepEqual(await contents(call.body.sessionId), texts(chat));
  });

  test('what is refused is an error with its code', OPTIONS, async () => {
    const { chat } = open();
    await chat.sendMessage({ text: '' });
    assert.deepEqual([chat.status, chat.error.status, chat.error.code], ['error', 400, 'VALIDATION_ERROR']);
    const transport = new library.SessiondChatTransport({ client });
    const lost = new Chat({ id: randomUUID(), transport });
    await lost.sendMessage({ text: 'Hello.' });
    assert.equal(lost.error.code, 'SESSION_NOT_FOUND');
  });

  test('a stop ends the reply and keeps what was said', OPTIONS, async () => {
    const { chat } = open();
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.say('Once upon ');
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown');
    await chat.stop();
    await sending;
    await call.closed;
    assert.equal(chat.status, 'ready');
    const stored = await until(async () => (await client.messages(call.body.sessionId)).messages.find(({ isAgent }) => isAgent), 'the reply is stored');
    assert.equal(stored.content, 'Once upon ');
    assert.equal(stored.metadata.interrupted, true);
    assert.equal(stored.id, last(chat).id);
  });

  test('a stopped reply is regenerated in a session that continues, at once', OPTIONS, async () => {
    const { chat, branches } = open();
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.say('Once upon ');
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown');
    const again = chat.stop().then(() => chat.regenerate());
    await sending;
    const next = await agent.next();
    next.done('Long ago.');
    await again;
    assert.deepEqual([chat.status, branches.length], ['ready', 1]);
    assert.deepEqual(texts(chat), ['Tell me a story.', 'Long ago.']);
    assert.notEqual(next.body.sessionId, call.body.sessionId);
    assert.deepEqual(await contents(call.body.sessionId), ['Tell me a story.', 'Once upon ']);
    assert.deepEqual(await contents(next.body.sessionId), texts(chat));
  });

  test('a reply that was stopped before its first word is regenerated in its place', OPTIONS, async () => {
    const { chat, data, branches } = open();
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.act({ kind: 'tool', name: 'library', state: 'started' });
    await until(() => data.length, 'the reply begins');
    await chat.stop();
    await Promise.all([sending, call.closed]);
    const again = chat.regenerate();
    (await agent.next(call.body.sessionId)).done('Once upon a time.');
    await again;
    assert.deepEqual([chat.status, branches.length], ['ready', 0]);
    assert.deepEqual(await contents(call.body.sessionId), ['Tell me a story.', 'Once upon a time.']);
  });

  test('a reply is regenerated, and a message edited, in a session that continues', OPTIONS, async () => {
    const { chat, branches } = open();
    for (const [text, reply] of [['One.', 'First.'], ['Two.', 'Second.']]) {
      const sending = chat.sendMessage({ text });
      (await agent.next()).done(reply);
      await sending;
    }
    const [first] = (await client.listSessions({ userId })).sessions;
    const again = chat.regenerate();
    const call = await agent.next();
    call.done('Another second.');
    await again;
    assert.deepEqual(texts(chat), ['One.', 'First.', 'Two.', 'Another second.']);
    assert.equal(branches[0].chatId, chat.id);
    assert.equal(branches[0].session.continuedFrom.sessionId, first.sessionId);
    assert.equal(branches[0].session.sessionId, call.body.sessionId);
    assert.deepEqual(await contents(call.body.sessionId), texts(chat));
    assert.deepEqual(await contents(first.sessionId), ['One.', 'First.', 'Two.', 'Second.']);

    const editing = chat.sendMessage({ text: 'Three.', messageId: chat.messages[0].id });
    const edited = await agent.next();
    edited.done('Third.');
    await editing;
    assert.deepEqual(texts(chat), ['Three.', 'Third.']);
    assert.deepEqual(await contents(edited.body.sessionId), texts(chat));
  });

  test('a page that is loaded again shows the rest of the reply', OPTIONS, async (t) => {
    const gate = await Gate.open(server);
    t.after(() => gate.close());
    const { chat: left } = open();
    const sending = left.sendMessage({ text: 'Tell me a story.' });
    const call = await agent.next();
    call.say('Once upon ');
    await until(() => textOf(last(left)) === 'Once upon ', 'the first words are shown');
    const { chat } = open({ id: left.id, client: new library.SessiondClient({ baseUrl: gate.url }), messages: [left.messages[0]] });
    // As React's strict mode does; the first one must not stop the reply.
    const first = chat.resumeStream();
    const second = chat.resumeStream();
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown again');
    call.say('a ');
    await until(() => textOf(last(chat)) === 'Once upon a ', 'the next ones are shown');
    gate.cut();
    call.say('time');
    await until(() => textOf(last(chat)) === 'Once upon a time', 'the last ones are shown');
    call.done('Once upon a time');
    await Promise.all([first, second, sending]);
    assert.equal(chat.status, 'ready');
    assert.deepEqual(texts(chat), ['Tell me a story.', 'Once upon a time']);
    assert.equal(last(chat).parts.length, 1);
    assert.equal(last(chat).id, last(left).id);
    await chat.resumeStream();
    assert.deepEqual([chat.status, chat.messages.length], ['ready', 2], 'there is nothing to resume');
  });

  test('a resumed reply is stopped, and fails, like any', OPTIONS, async () => {
    for (const how of ['stop', 'fail']) {
      const { chat: left } = open();
      const sending = left.sendMessage({ text: 'Tell me a story.' });
      const call = await agent.next();
      call.say('Once upon ');
      await until(() => textOf(last(left)) === 'Once upon ', 'the first words are shown');
      const { chat } = open({ id: left.id, messages: [left.messages[0]] });
      const resuming = chat.resumeStream();
      await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown again');
      if (how === 'stop') await chat.stop();
      else call.fail();
      await Promise.all([resuming, call.closed, sending]);
      assert.equal(chat.status, how === 'stop' ? 'ready' : 'error');
      if (how === 'fail') assert.deepEqual([chat.error.code, chat.error.reason], ['AGENT_ERROR', 'invalid_reply']);
    }
  });

  test('a reply that the agent begins anew is a part of its own', OPTIONS, async (t) => {
    const own = await Server.start({ agent });
    t.after(() => own.remove());
    const { chat } = open({ client: new library.SessiondClient({ baseUrl: own.url, retries: 100 }) });
    const sending = chat.sendMessage({ text: 'Tell me a story.' });
    (await agent.next()).say('Once upon ');
    await until(() => textOf(last(chat)) === 'Once upon ', 'the first words are shown');
    await own.stop();
    await own.resume();
    (await agent.next()).done('Long ago.');
    await sending;
    const [old, current] = last(chat).parts;
    assert.equal(old.providerMetadata.sessiond.superseded, true);
    assert.deepEqual([current.text, current.providerMetadata], ['Long ago.', undefined]);
  });
}
