// A conversation: events become messages, and messages are sent.

import { api } from './api.js';
import { Composer, saveDraft } from './composer.js';
import { h, notify, setText } from './dom.js';
import { failureCause } from './failures.js';
import { Message } from './message.js';
import { Outbox } from './outbox.js';
import { canRepeat, repeat, sendAgain } from './sending.js';
import { Transcript } from './transcript.js';

/** The number of newest messages whose failures are read again. */
const RECENT = 30;

export class Conversation {
  /** The unfinished replies by their ids, also while the end is not shown. */
  streams = new Map();
  agentName = 'Agent';
  userName = 'User';
  isClosed = false;

  /** `read(parameters)` loads messages, `session()` is the session, `sent(status)` receives its status. */
  constructor(id, { read, session, sent, signal }) {
    Object.assign(this, { id, read, session, onSent: sent, signal });
    this.actions = {
      retry: (message) => this.attempt(() => this.retry(message)),
      regenerate: (reply) => this.attempt(() => this.regenerate(reply)),
      edit: (message) => this.composer.edit(message),
    };
    this.transcript = new Transcript({
      read,
      create: (message) => this.stored(message),
      fail: (error) => this.showStatus(error.message),
      attached: () => this.showUnstored(),
    });
    this.composer = new Composer(id, {
      send: (text) => this.outbox.say(text),
      unsent: () => this.outbox.waiting.filter(({ id }) => !id).map(({ text }) => text),
      edit: (message, text) => this.attempt(() => sendAgain(this.session(), message, text, read)),
      stop: () => this.attempt(() => this.stop()),
    });
    this.outbox = new Outbox(this);
    // What waits is still sent after another view is opened.
    signal.addEventListener('abort', () => this.outbox.waiting.length && saveDraft(id, this.composer.input.value));
    this.thinking = h('p', { class: 'thinking', hidden: true }, h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), h('span', { class: 'thinking-words' }));
    this.transcript.foot.append(this.thinking);
    this.strip = h('p', { class: 'strip', role: 'status', hidden: true });
    this.element = h('section', { class: 'card conversation', 'aria-labelledby': 'conversation' },
      h('h2', { class: 'hidden', id: 'conversation' }, 'Conversation'), this.transcript.element, this.strip, this.composer.element);
  }

  get messages() {
    return this.transcript.messages;
  }

  nameAgent(name) {
    this.agentName = name;
    for (const message of this.messages.values()) if (message.isAgent) setText(message.author, name);
  }

  /** Shows the newest page, or the one around a message `{ id, at }`. */
  async open(page, found) {
    this.transcript.fill(page, { hasEarlier: page.hasMore, hasLater: false });
    const isFound = found && (await this.find(found));
    if (!isFound) requestAnimationFrame(() => this.transcript.toEnd());
    this.composer.opened(!isFound);
    this.explainLast();
  }

  async find({ id, at }) {
    if (!this.messages.has(id) && Number.isFinite(at)) {
      await this.transcript.busily(() => this.transcript.showAround(at));
      if (!this.messages.has(id)) await this.transcript.showLatest();
    }
    if (this.transcript.mark(id)) return true;
    notify('The message was not found in this session.', 'warn');
    return false;
  }

  stored({ id, content, ...message }) {
    const view = this.view(id, message.isAgent);
    view.store({ ...message, id, text: content });
    return view;
  }

  view(id, isAgent, name) {
    const message = new Message(isAgent, isAgent ? this.agentName : name ?? this.userName, this.actions);
    message.onResize = () => this.transcript.follows && this.transcript.toEnd();
    if (id) this.register(id, message);
    return message;
  }

  register(id, message) {
    this.messages.set(id, message);
    message.element.dataset.id = id;
  }

  /** Handles an event. Returns whether it was one of the conversation. */
  handle(name, data) {
    const act = {
      messageBroadcast: () => this.addMessage(data),
      messageStreamChunk: () => this.addChunk(data),
      messageActivity: () => this.addActivity(data),
      messageStreamError: () => this.showFailure(data),
      controlMessage: () => this.setBusy(data.action === 'disable_input'),
      messageComplete: () => {},
    }[name];
    if (name === 'state') this.restart(data);
    act?.();
    return act !== undefined;
  }

  /** The beginning of the live events: what is not stored is replaced. */
  restart({ inputEnabled, partial }) {
    for (const id of [...this.streams.keys()]) if (id !== partial?.messageId) this.drop(id);
    if (partial) {
      this.messages.get(partial.messageId)?.clearActivity();
      this.stream(partial.messageId, partial.text);
    }
    this.setBusy(!inputEnabled);
    // Failures are not repeated by the stream.
    if (this.wasLive) this.refreshFailures();
    this.wasLive = true;
  }

  addMessage({ id, source, senderName, ...data }) {
    const isAgent = source === 'agent_response';
    this.streams.delete(id);
    // A retried message had failed before.
    if (data.inReplyTo) this.messages.get(data.inReplyTo)?.fail(undefined);
    const own = isAgent ? undefined : this.outbox.confirm(id, data.text);
    let message = this.messages.get(id);
    if (!message && this.transcript.hasLater) {
      this.transcript.hasMissed = true;
      return;
    }
    // The broadcast of an own message may arrive before the response.
    if (!message && own) {
      message = own;
      this.register(id, message);
    }
    this.transcript.following(() => {
      if (!message) {
        message = this.view(id, isAgent, senderName);
        this.transcript.append(message);
      }
      message.store({ id, ...data });
      this.transcript.move(message);
      if (isAgent) this.thinking.hidden = true;
    });
  }

  addChunk({ messageId, chunk, index }) {
    if (this.messages.get(messageId)?.isStored) return;
    const before = index === 0 ? '' : this.streams.get(messageId)?.text ?? '';
    this.stream(messageId, before + chunk);
  }

  stream(id, text) {
    this.streams.set(id, { ...this.streams.get(id), text });
    this.thinking.hidden = true;
    this.showStream(id);
  }

  addActivity({ messageId, ...activity }) {
    if (this.messages.get(messageId)?.isStored) return;
    if (!this.streams.has(messageId)) this.streams.set(messageId, { text: '' });
    this.showStream(messageId, activity);
  }

  /** Shows what is being sent and streamed after the end has come into view. */
  showUnstored() {
    for (const message of this.outbox.unconfirmed()) this.transcript.append(message);
    for (const id of this.streams.keys()) this.showStream(id);
  }

  showStream(id, activity) {
    let message = this.messages.get(id);
    if (message?.isStored || (!message && this.transcript.hasLater)) return;
    this.transcript.following(() => {
      if (!message) {
        message = this.view(id, true);
        this.transcript.append(message);
      }
      const { text } = this.streams.get(id);
      if (activity) message.act(activity);
      message.stream(text);
    });
  }

  drop(id) {
    this.streams.delete(id);
    const message = this.messages.get(id);
    if (message && !message.isStored) this.transcript.remove(message);
  }

  showFailure({ messageId, partialText }) {
    const text = partialText ?? this.streams.get(messageId)?.text ?? '';
    this.streams.delete(messageId);
    const message = this.messages.get(messageId);
    if (message && !message.isStored) {
      if (text) {
        message.stream(text);
        message.breakOff();
      } else this.transcript.remove(message);
    }
    this.thinking.hidden = true;
    this.refreshFailures();
  }

  /** Reads which of the newest messages have failed, which events do not tell. */
  async refreshFailures() {
    try {
      const { messages } = await this.read({ limit: RECENT });
      this.transcript.following(() => {
        for (const { id, isAgent, metadata } of messages) {
          const shown = this.messages.get(id);
          if (!isAgent && shown && Boolean(shown.failure) !== Boolean(metadata.agentError)) shown.fail(metadata.agentError);
        }
      });
      await this.explainLast();
    } catch {
      // The next failure or reconnection reads them again.
    }
  }

  async explainLast() {
    const failed = [...this.messages.values()].filter(({ failure, isAgent }) => failure && !isAgent);
    const last = failed.sort((a, b) => a.createdAt - b.createdAt).at(-1);
    const reason = last?.failure.reason;
    if (!reason || last.cause || reason === 'cancelled' || reason === 'expired') return;
    const cause = await failureCause(this.session()?.agentId, reason, last.createdAt);
    if (cause && last.failure) this.transcript.following(() => last.explain(cause));
  }

  setBusy(isBusy) {
    const isOpen = isBusy && !this.isClosed;
    this.composer.setBusy(isOpen);
    setText(this.thinking.lastChild, `${this.agentName} is thinking`);
    this.transcript.following(() => {
      this.thinking.hidden = !isOpen || [...this.streams.values()].some(({ text }) => text);
    });
  }

  connection(state) {
    if (this.isClosed) return;
    this.showStatus(state === 'live' ? '' : 'Connection lost. Reconnecting; nothing will be missed.');
  }

  showStatus(text, ...actions) {
    this.strip.hidden = !text;
    if (!actions.length) setText(this.strip, text);
    else this.strip.replaceChildren(text, ...actions);
  }

  /** Disables sending. `canContinue` tells whether messages can still be sent again in a new session. */
  close(text, canContinue, ...actions) {
    this.isClosed = true;
    this.setBusy(false);
    this.composer.element.hidden = true;
    this.strip.classList.add('final');
    this.element.classList.toggle('frozen', !canContinue);
    this.showStatus(text, ...actions);
  }

  async attempt(act) {
    try {
      await act();
    } catch (error) {
      notify(error.message, 'bad');
    }
  }

  async stop() {
    const { cancelled } = await api.cancel(this.id);
    if (!cancelled.length) notify('There was no reply to stop.');
  }

  /** Opens a failed turn again, or sends its message in a new session if its key is unknown. */
  async retry(message) {
    if (this.isClosed || !canRepeat(message.id)) return sendAgain(this.session(), message, message.text, this.read);
    await repeat(this.id, message.id);
    message.fail(undefined);
  }

  async regenerate(reply) {
    const message = this.messages.get(reply.inReplyTo);
    if (!message) throw new Error('The message of this reply is not on this page. Load earlier messages first.');
    await sendAgain(this.session(), message, message.text, this.read);
  }
}
