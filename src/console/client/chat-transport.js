// A ChatTransport of the Vercel AI SDK (npm package `ai`) over a SessiondClient.
// `chat-transport.d.ts` describes it.

import { SessiondError } from './client.js';

/** The text of a reply that was begun anew is marked with this, since a part cannot be taken back. */
const SUPERSEDED = { providerMetadata: { sessiond: { superseded: true } } };

const FINISH_REASONS = ['stop', 'length', 'content-filter', 'tool-calls', 'error'];

export class SessiondChatTransport {
  #client;
  #session;
  #onSession;
  /** The session of each chat, as a promise. */
  #sessions = new Map();
  /** The turns of messages whose replies have not ended here. Without a reply they are opened again, not continued elsewhere. */
  #turns = new Map();
  /** The latest reconnect of each chat. */
  #reconnects = new Map();

  constructor({ client, session = (chatId) => chatId, onSession }) {
    this.#client = client;
    this.#session = session;
    this.#onSession = onSession;
  }

  async sendMessages({ trigger, chatId, messageId, messages, abortSignal, metadata }) {
    const message = messages.at(-1);
    if (message?.role !== 'user') throw new TypeError('only the message of a user can be sent');
    let sessionId = await this.#sessionOf(chatId);
    // With a `messageId`, a message that was sent before is edited, or its reply regenerated.
    const isAnother = trigger === 'regenerate-message' || messageId !== undefined;
    if (isAnother && !(trigger === 'regenerate-message' && (await this.#hasFailed(message.id, abortSignal)))) {
      sessionId = await this.#branch(chatId, sessionId, messages, abortSignal);
    }
    const sent = { ...fieldsOf(message), ...metadataOf(message, metadata), clientMessageId: message.id };
    const events = this.#client.stream(sessionId, sent, { signal: abortSignal });
    const turn = { sessionId };
    this.#turns.set(message.id, turn);
    const stop = () => {
      turn.stopped = this.#cancel(sessionId, turn.userMessage?.id);
    };
    abortSignal?.addEventListener('abort', stop, { once: true });
    const onEnd = (isDone) => {
      abortSignal?.removeEventListener('abort', stop);
      if (isDone) this.#turns.delete(message.id);
    };
    try {
      // What is refused before the reply begins rejects this call.
      turn.userMessage = (await events.next()).value.data;
    } catch (error) {
      onEnd(false);
      throw error;
    }
    return toStream(chunksOf(events, onEnd));
  }

  async reconnectToStream({ chatId, abortSignal }) {
    const reconnect = {};
    this.#reconnects.set(chatId, reconnect);
    const sessionId = await this.#sessionOf(chatId);
    const events = this.#client.events(sessionId, { signal: abortSignal });
    const state = await firstState(events);
    if (!state || state.data.inputEnabled) {
      await events.return();
      return null;
    }
    // The abort of one reconnect by the next one does not stop the reply.
    const stop = () => setTimeout(() => this.#reconnects.get(chatId) === reconnect && this.#cancel(sessionId));
    abortSignal?.addEventListener('abort', stop, { once: true });
    const onEnd = () => abortSignal?.removeEventListener('abort', stop);
    return toStream(chunksOf(replyEvents(state, events), onEnd));
  }

  /** Whether a message was sent and has no reply. What was said before a stop is one. */
  async #hasFailed(id, signal) {
    const turn = this.#turns.get(id);
    await turn?.stopped;
    if (!turn?.userMessage) return Boolean(turn);
    const after = Date.parse(turn.userMessage.createdAt) - 1;
    const { messages } = await this.#client.messages(turn.sessionId, { after, limit: 100 }, { signal });
    return !messages.some(({ inReplyTo }) => inReplyTo === turn.userMessage.id);
  }

  #sessionOf(chatId) {
    let session = this.#sessions.get(chatId);
    if (!session) {
      session = (async () => this.#session(chatId))();
      this.#sessions.set(chatId, session);
      session.catch(() => this.#sessions.delete(chatId));
    }
    return session;
  }

  /** Continues a session up to the reply before the last message, in a new one. */
  async #branch(chatId, sessionId, messages, signal) {
    const { agentId, userId, metadata } = await this.#client.getSession(sessionId, { signal });
    const last = messages.slice(0, -1).findLast(({ role }) => role === 'assistant');
    const continueFrom = last && { sessionId, upToMessageId: last.id };
    const session = await this.#client.createSession({ agentId, userId, metadata, continueFrom }, { signal });
    this.#sessions.set(chatId, Promise.resolve(session.sessionId));
    await this.#onSession?.(chatId, session);
    return session.sessionId;
  }

  async #cancel(sessionId, messageId) {
    try {
      await this.#client.cancel(sessionId, { messageId });
    } catch {
      // The reply goes on; nothing waits for it any more.
    }
  }
}

export function toUIMessages(messages) {
  return messages.toReversed().map(({ id, isAgent, content, attachments = [], createdAt, metadata }) => ({
    id,
    role: isAgent ? 'assistant' : 'user',
    metadata: { ...metadata, createdAt },
    parts: [
      ...(metadata.thought ? [{ type: 'reasoning', text: metadata.thought, state: 'done' }] : []),
      ...attachments.map(fileOf),
      { type: 'text', text: content, state: 'done' },
    ],
  }));
}

const fileOf = ({ type, url, name }) => ({ type: 'file', mediaType: type, url, ...(name && { filename: name }) });

function fieldsOf({ parts }) {
  const content = parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('');
  const files = parts.filter(({ type }) => type === 'file');
  if (!files.length) return { content };
  return { content, attachments: files.map(({ mediaType, url, filename }) => ({ type: mediaType, url, name: filename })) };
}

function metadataOf(message, more) {
  const metadata = { ...message.metadata, ...more };
  return Object.keys(metadata).length ? { metadata } : {};
}

/** Returns the first state of a session's events, or nothing if they have ended. */
async function firstState(events) {
  for (;;) {
    const { value, done } = await events.next();
    if (done) return undefined;
    if (value.type === 'state') return value;
  }
}

/** Yields the events of a session as those of the reply that is open. */
async function* replyEvents(first, events) {
  let state = first;
  try {
    for (;;) {
      const { type, data } = state;
      const isReply = type === 'messageBroadcast' && data.source === 'agent_response';
      if (type === 'state' && data.partial) yield { type: 'chunk', data: data.partial };
      else if (type === 'messageStreamChunk') yield { type: 'chunk', data };
      else if (type === 'messageActivity') yield { type: 'activity', data };
      else if (isReply) return yield { type: 'done', data: { ...data, createdAt: new Date(data.createdAt).toISOString() } };
      else if (type === 'messageStreamError') throw failure(data.error, data);
      else if (type === 'messageComplete' || (type === 'state' && data.inputEnabled)) throw failure('The reply has failed', {});
      const { value, done } = await events.next();
      if (done) return;
      state = value;
    }
  } finally {
    await events.return();
  }
}

const failure = (message, details) => new SessiondError(message, { code: 'AGENT_ERROR', details });

/** Yields the chunks of a UI message for the events of a reply. */
async function* chunksOf(events, onEnd) {
  const parts = new Parts();
  let isStarted = false;
  let isDone = false;
  try {
    for await (const { type, data } of events) {
      const messageId = type === 'done' ? data.id : data.messageId;
      if (!isStarted && messageId) {
        isStarted = true;
        yield { type: 'start', messageId };
      }
      if (type === 'chunk') yield* parts.show(data.text);
      else if (type === 'activity' && data.kind === 'thinking') yield* parts.write('reasoning', data.text ?? '');
      else if (type === 'activity') yield { type: 'data-activity', data, transient: true };
      else if (type === 'done') {
        isDone = true;
        yield* parts.show(data.text);
        yield* parts.close();
        for (const { type: mediaType, url } of data.attachments ?? []) yield { type: 'file', mediaType, url };
        const { metadata, createdAt } = data;
        yield { type: 'finish', finishReason: finishReasonOf(metadata), messageMetadata: { ...metadata, createdAt } };
      }
    }
  } finally {
    onEnd(isDone);
  }
}

function finishReasonOf({ finishReason = 'stop' } = {}) {
  const reason = finishReason.replaceAll('_', '-');
  return FINISH_REASONS.includes(reason) ? reason : 'other';
}

/** The text and reasoning parts of a UI message, of which one at a time is open. */
class Parts {
  #open;
  #count = 0;
  #shown = '';

  /** Continues the text, which is shown up to `#shown`. */
  *show(text) {
    if (text === this.#shown) return;
    if (!text.startsWith(this.#shown)) {
      yield* this.close(SUPERSEDED);
      this.#shown = '';
    }
    yield* this.write('text', text.slice(this.#shown.length));
    this.#shown = text;
  }

  *write(type, delta) {
    if (this.#open?.type !== type) {
      yield* this.close();
      this.#open = { type, id: `${type}-${(this.#count += 1)}` };
      yield { type: `${type}-start`, id: this.#open.id };
    }
    yield { type: `${type}-delta`, id: this.#open.id, delta };
  }

  *close(more) {
    if (!this.#open) return;
    const { type, id } = this.#open;
    this.#open = undefined;
    yield { type: `${type}-end`, id, ...more };
  }
}

const toStream = (iterator) =>
  new ReadableStream({
    async pull(controller) {
      const { value, done } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => iterator.return(),
  });
