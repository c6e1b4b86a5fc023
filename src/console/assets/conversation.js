// A conversation: events become messages, and messages are sent.

import { client } from './api.js';
import { Composer } from './composer.js';
import { attempt, h, notify, setText } from './dom.js';
import { failureCause } from './failures.js';
import { Message } from './message.js';
import { Outbox } from './outbox.js';
import { canRepeat, repeat, sendAgain } from './sending.js';
import { Transcript } from './transcript.js';

/** The number of newest messages whose failures are read again. */
const RECENT = 30;

export class Conversation {
  /** The replies that are not stored, by their ids, also while the end is not shown. */
  replies = new Map();
  agentName = 'Agent';
  userName = 'User';
  isClosed = false;

  /** What events do, by their names. */
  events = {
    state: (data) => this.restart(data),
    messageBroadcast: (data) => this.stored(data),
    disconnected: () => this.showConnection('Connection lost. Reconnecting; nothing will be missed.'),
    messageStreamChunk: ({ messageId, text }) => this.reply(messageId)?.stream(text),
    messageActivity: ({ messageId, ...activity }) => {
      const reply = this.reply(messageId);
      reply?.stream(reply.text);
      reply?.act(activity);
    },
    messageStreamError: (data) => this.failed(data),
    controlMessage: ({ action }) => this.setBusy(action === 'disable_input'),
  };

  /** `read(parameters)` loads messages, `session()` is the session. */
  constructor(id, { read, session, signal }) {
    Object.assign(this, { id, read, session, signal });
    this.actions = {
      canRepeat: ({ id: messageId }) => !this.isClosed && canRepeat(messageId),
      retry: (message) => this.retry(message),
      regenerate: (reply) => this.regenerate(reply),
      edit: (message) => this.composer.edit(message),
    };
    this.transcript = new Transcript({
      read,
      create: ({ content, ...message }) => {
        const view = this.view(message.isAgent);
        view.store({ ...message, text: content });
        return view;
      },
      fail: (error) => this.showStatus(error.message),
      attached: () => this.showUnstored(),
    });
    this.outbox = new Outbox(this);
    this.composer = new Composer(id, {
      send: (text) => this.outbox.say(text),
      unsent: () => this.outbox.texts,
      edit: (message, text) => attempt(() => sendAgain(this.session(), message, read, text)),
      stop: () => this.stop(),
    });
    // What is pending is still sent after another view is opened.
    signal.addEventListener('abort', () => this.composer.save());
    this.thinking = h('p', { class: 'thinking', hidden: true });
    this.transcript.foot.append(this.thinking);
    this.strip = h('p', { class: 'strip', role: 'status', hidden: true });
    this.element = h('section', { class: 'card conversation', 'aria-labelledby': 'conversation' },
      h('h2', { class: 'hidden', id: 'conversation' }, 'Conversation'), this.transcript.element, this.strip, this.composer.element);
  }

  nameAgent(name) {
    this.agentName = name;
    for (const message of this.transcript.shown) if (message.isAgent) setText(message.author, name);
  }

  /** Shows the newest page, or the one around a message `{ id, at }`. */
  async open(page, found) {
    this.transcript.fill(page, { hasEarlier: page.hasMore });
    const isFound = found && (await this.find(found));
    this.composer.opened(!isFound);
    this.explainLast();
  }

  async find({ id, at }) {
    if (!this.transcript.get(id) && Number.isFinite(at)) {
      await this.transcript.busily(() => this.transcript.showAround(at));
      if (!this.transcript.get(id)) await this.transcript.showLatest();
    }
    if (this.transcript.mark(id)) return true;
    notify('The message was not found in this session.', 'warn');
    return false;
  }

  view(isAgent) {
    return new Message(isAgent, isAgent ? this.agentName : this.userName, this.actions);
  }

  /** The view of a reply that is not stored yet. */
  reply(id) {
    if (this.transcript.get(id)) return undefined;
    if (!this.replies.has(id)) {
      this.replies.set(id, this.view(true));
      if (!this.transcript.hasLater) this.transcript.append(this.replies.get(id));
    }
    return this.replies.get(id);
  }

  /** The beginning of the live events: what is not stored is replaced. */
  restart({ inputEnabled, partial }) {
    this.showConnection('');
    for (const id of this.replies.keys()) if (id !== partial?.messageId) this.drop(id);
    if (partial) {
      const reply = this.reply(partial.messageId);
      reply?.clearActivity();
      reply?.stream(partial.text);
    }
    this.setBusy(!inputEnabled);
    // Failures are not repeated by the stream.
    if (this.wasLive) this.refreshFailures();
    this.wasLive = true;
  }

  stored({ source, ...message }) {
    const isAgent = source === 'agent_response';
    // A retried message had failed before.
    if (isAgent) this.transcript.get(message.inReplyTo)?.set({ failure: undefined });
    if (this.transcript.get(message.id)) return;
    const known = isAgent ? this.replies.get(message.id) : this.outbox.confirm(message.text);
    this.replies.delete(message.id);
    this.store(known ?? this.view(isAgent), message);
  }

  /** Shows a message that is stored, unless the end is not shown or another view has it. */
  store(view, message) {
    const shown = this.transcript.get(message.id);
    if (!shown && !this.transcript.hasLater) {
      view.store(message);
      this.transcript.append(view);
    } else if (shown !== view) this.transcript.remove(view);
  }

  /** Shows what is being sent and streamed after the end has come into view. */
  showUnstored() {
    for (const { message } of this.outbox.unsent) this.transcript.append(message);
    for (const reply of this.replies.values()) this.transcript.append(reply);
  }

  drop(id) {
    const reply = this.replies.get(id);
    this.replies.delete(id);
    if (reply) this.transcript.remove(reply);
  }

  /** Keeps the words of a reply that failed, which are not stored. */
  failed({ messageId, partialText }) {
    const reply = this.replies.get(messageId);
    const text = partialText ?? reply?.text;
    if (text) reply?.set({ state: 'broken', text, createdAt: this.transcript.newest });
    else this.drop(messageId);
    this.refreshFailures();
  }

  /** Reads which of the newest messages have failed, which events do not tell. */
  async refreshFailures() {
    try {
      const { messages } = await this.read({ limit: RECENT });
      for (const { id, isAgent, metadata: { agentError } } of messages) {
        const shown = this.transcript.get(id);
        if (!isAgent && shown && !shown.failure !== !agentError) shown.set({ failure: agentError, cause: undefined });
      }
      await this.explainLast();
    } catch {
      // The next failure or reconnection reads them again.
    }
  }

  async explainLast() {
    const last = this.transcript.stored.findLast(({ failure, isAgent }) => failure && !isAgent);
    const reason = last?.failure.reason;
    if (!reason || last.cause || reason === 'cancelled' || reason === 'expired') return;
    const cause = await failureCause(this.session()?.agentId, reason, last.createdAt);
    if (cause && last.failure) last.set({ cause });
  }

  setBusy(isBusy) {
    const isOpen = isBusy && !this.isClosed;
    this.composer.setBusy(isOpen);
    setText(this.thinking, `${this.agentName} is thinking `);
    this.thinking.hidden = !isOpen;
  }

  showConnection(text) {
    if (!this.isClosed) this.showStatus(text);
  }

  showStatus(text, ...actions) {
    this.strip.hidden = !text;
    setText(this.strip, text);
    this.strip.append(...actions);
  }

  /** Disables sending. `actions` continue the session in a new one, in which messages can be sent again. */
  close(text, ...actions) {
    this.isClosed = true;
    this.setBusy(false);
    this.composer.element.hidden = true;
    this.strip.classList.add('final');
    this.element.classList.toggle('frozen', !actions.length);
    this.showStatus(text, ...actions);
    for (const message of this.transcript.stored) if (message.failure) message.set({});
  }

  async stop() {
    const { cancelled } = await client.cancel(this.id);
    if (!cancelled.length) notify('There was no reply to stop.');
  }

  /** Opens a failed turn again, or sends its message in a new session if its key is unknown. */
  async retry(message) {
    if (!this.actions.canRepeat(message)) return sendAgain(this.session(), message, this.read);
    await repeat(this.id, message.id);
    message.set({ failure: undefined });
  }

  async regenerate(reply) {
    const message = this.transcript.get(reply.inReplyTo);
    if (message) await sendAgain(this.session(), message, this.read);
    else notify('The message of this reply is not on this page. Load earlier messages first.', 'warn');
  }
}
