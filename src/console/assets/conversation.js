// A conversation: the transcript, the reply in progress, and the composer.

import { api } from './api.js';
import { newId } from './dialogs.js';
import { h, setText } from './dom.js';
import { fullTime, timeOfDay } from './format.js';

const RETRY_AFTER = 1500;
const MAX_CHARACTERS = 4000;

/** The distance from the end, in pixels, within which the view follows new messages. */
const NEAR_END = 80;

export class Conversation {
  /** The messages by their ids. */
  bubbles = new Map();
  /** Own messages that the server has not confirmed, in order. */
  sending = [];
  agentName = 'Agent';
  userName = 'User';
  isClosed = false;

  /** `earlier(before)` loads an earlier page; `sent(status)` receives the session status after a send. */
  constructor(id, { earlier, sent }) {
    this.id = id;
    this.loadEarlier = earlier;
    this.onSent = sent;
    this.earlier = h('button', { type: 'button', class: 'quiet earlier', hidden: true, onclick: () => this.showEarlier() }, 'Earlier messages');
    this.list = h('ol', { class: 'messages' });
    this.thinking = h('p', { class: 'thinking', hidden: true }, h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), h('span', { class: 'thinking-words' }));
    this.nothing = h('p', { class: 'nothing muted', hidden: true }, 'No messages yet.');
    this.log = h('div', { class: 'log', role: 'log', 'aria-label': 'Conversation', tabindex: '0' }, this.earlier, this.nothing, this.list, this.thinking);
    this.strip = h('p', { class: 'strip', role: 'status', hidden: true });
    this.input = h('textarea', {
      id: 'say', rows: '1', maxlength: MAX_CHARACTERS, placeholder: 'Write a message', 'aria-describedby': 'say-hint',
      onkeydown: (event) => this.key(event), oninput: () => this.grow(),
    });
    this.button = h('button', { type: 'submit', class: 'primary' }, 'Send');
    this.form = h('form', { class: 'composer', onsubmit: (event) => this.submit(event) },
      h('label', { for: 'say', class: 'hidden' }, 'Message'),
      h('div', { class: 'composer-row' }, this.input, this.button),
      h('p', { class: 'hint', id: 'say-hint' }, 'Press Enter to send, Shift+Enter for a new line.'));
    this.element = h('section', { class: 'card conversation', 'aria-label': 'Conversation' }, this.log, this.strip, this.form);
  }

  nameAgent(name) {
    this.agentName = name;
    for (const bubble of this.bubbles.values()) if (bubble.isAgent) setText(bubble.author, name);
  }

  /** Shows a page of the transcript, which is sorted newest first. */
  show({ messages, hasMore }) {
    const height = this.log.scrollHeight;
    const items = [...messages].reverse().filter(({ id }) => !this.bubbles.has(id)).map((message) => this.stored(message).element);
    this.list.prepend(...items);
    this.oldest = messages.at(-1)?.createdAt ?? this.oldest;
    this.earlier.hidden = !hasMore;
    this.nothing.hidden = this.bubbles.size > 0;
    // The visible messages keep their position; at first that is the end.
    this.log.scrollTop = this.log.scrollTop + this.log.scrollHeight - height;
    requestAnimationFrame(() => this.bubbles.size <= messages.length && this.toEnd());
  }

  async showEarlier() {
    this.earlier.disabled = true;
    try {
      this.show(await this.loadEarlier(Date.parse(this.oldest)));
    } catch (error) {
      this.showStatus(error.message);
    } finally {
      this.earlier.disabled = false;
    }
  }

  stored({ id, content, isAgent, createdAt, metadata, attachments }) {
    const bubble = this.bubble(id, isAgent);
    bubble.set(content, createdAt);
    bubble.annotate({ thought: isAgent && metadata.thought, attachments, failure: metadata.agentError });
    return bubble;
  }

  bubble(id, isAgent, name) {
    const bubble = new Bubble(isAgent, isAgent ? this.agentName : name ?? this.userName);
    if (id) this.bubbles.set(id, bubble);
    return bubble;
  }

  append(bubble) {
    const isAtEnd = this.isAtEnd();
    this.list.append(bubble.element);
    this.nothing.hidden = true;
    if (isAtEnd || !bubble.isAgent) this.toEnd();
  }

  /** Shows a message as stored, in its position: others may have been stored before it. */
  settle(bubble, text, createdAt) {
    bubble.set(text, createdAt);
    const { element } = bubble;
    const isLater = ({ dataset, classList }) =>
      Number(dataset.at) > Number(element.dataset.at) || classList.contains('pending') || classList.contains('streaming');
    let before = this.list.lastElementChild;
    while (before && (before === element || isLater(before))) before = before.previousElementSibling;
    if (!before) this.list.prepend(element);
    else if (before.nextElementSibling !== element) before.after(element);
  }

  isAtEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** Handles an event. Returns whether it was one of the conversation. */
  handle(name, data) {
    if (name === 'messageBroadcast') this.addMessage(data);
    else if (name === 'messageStreamChunk') this.addChunk(data);
    else if (name === 'messageStreamError') this.showFailure(data);
    else if (name === 'controlMessage') this.think(data.action === 'disable_input');
    else if (name === 'state') {
      this.think(!data.inputEnabled);
      return false;
    } else return name === 'messageComplete';
    return true;
  }

  addMessage({ id, text, createdAt, senderName, source, thought, attachments, inReplyTo }) {
    const isAgent = source === 'agent_response';
    const isAtEnd = this.isAtEnd();
    let bubble = this.bubbles.get(id) ?? (isAgent ? undefined : this.adopt(id, text));
    if (!bubble) {
      bubble = this.bubble(id, isAgent, senderName);
      this.append(bubble);
    }
    this.settle(bubble, text, createdAt);
    bubble.annotate({ thought, attachments });
    // A retried message had failed before.
    if (inReplyTo) this.bubbles.get(inReplyTo)?.annotate({ failure: undefined });
    if (isAgent) this.thinking.hidden = true;
    if (isAtEnd) this.toEnd();
  }

  /** The bubble of an own message, whose broadcast may arrive before the response. */
  adopt(id, text) {
    const sending = this.sending.find((sent) => !sent.id && sent.text === text);
    if (!sending) return undefined;
    sending.id = id;
    this.bubbles.set(id, sending.bubble);
    return sending.bubble;
  }

  addChunk({ messageId, chunk, index }) {
    const isAtEnd = this.isAtEnd();
    let bubble = this.bubbles.get(messageId);
    if (bubble?.isStored) return;
    if (!bubble) {
      bubble = this.bubble(messageId, true);
      this.append(bubble);
    }
    this.thinking.hidden = true;
    bubble.stream(index === 0 ? chunk : bubble.text + chunk);
    if (isAtEnd) this.toEnd();
  }

  showFailure({ messageId, error, partialText }) {
    let bubble = this.bubbles.get(messageId);
    if (!bubble) {
      bubble = this.bubble(messageId, true);
      this.append(bubble);
    }
    bubble.stream(partialText ?? '');
    bubble.annotate({ failure: { message: error } });
    bubble.element.classList.remove('streaming');
    this.thinking.hidden = true;
  }

  think(isThinking) {
    this.thinking.hidden = !isThinking || this.isClosed;
    setText(this.thinking.lastChild, `${this.agentName} is thinking`);
    if (isThinking && this.isAtEnd()) this.toEnd();
  }

  /** Shows whether the event stream is connected. */
  connection(state) {
    if (this.isClosed) return;
    this.showStatus(state === 'live' ? '' : 'Connection lost. Reconnecting; nothing will be missed.');
  }

  showStatus(text) {
    this.strip.hidden = !text;
    setText(this.strip, text);
  }

  /** Disables sending. */
  close(text) {
    this.isClosed = true;
    this.thinking.hidden = true;
    this.form.hidden = true;
    this.strip.classList.add('final');
    this.showStatus(text);
  }

  key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  submit(event) {
    event.preventDefault();
    const text = this.input.value;
    if (!text.trim()) return;
    this.input.value = '';
    this.grow();
    const bubble = this.bubble(undefined, false, 'You');
    bubble.pend(text);
    this.append(bubble);
    const sending = { text, bubble, key: newId(), id: undefined };
    this.sending.push(sending);
    if (this.sending.length === 1) this.sendAll();
  }

  /** Sends one message at a time, so that they are stored in order. */
  async sendAll() {
    while (this.sending.length && !this.isClosed) {
      const [sending] = this.sending;
      await this.send(sending);
      this.sending.shift();
    }
  }

  async send(sending) {
    const { text, bubble, key } = sending;
    for (;;) {
      try {
        const { userMessage, sessionStatus } = await api.send(this.id, { content: text, transport: 'websocket', clientMessageId: key });
        sending.id = userMessage.id;
        const shown = this.bubbles.get(userMessage.id);
        if (shown && shown !== bubble) bubble.element.remove();
        else {
          this.bubbles.set(userMessage.id, bubble);
          this.settle(bubble, text, userMessage.createdAt);
        }
        this.onSent(sessionStatus);
        return;
      } catch (error) {
        // With the same key it is stored only once.
        const isTransient = error.status === 0 || error.status === 503;
        if (!isTransient || this.isClosed) return this.showRefusal(sending, error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
      }
    }
  }

  showRefusal(sending, error) {
    const retry = h('button', { type: 'button', class: 'link', onclick: () => {
      sending.bubble.pend(sending.text);
      this.sending.push(sending);
      if (this.sending.length === 1) this.sendAll();
    } }, 'Send again');
    sending.bubble.annotate({ failure: error, action: this.isClosed || error.status === 400 ? undefined : retry });
  }
}

/** The view of a message. */
class Bubble {
  isStored = false;
  text = '';

  constructor(isAgent, name) {
    this.isAgent = isAgent;
    this.author = h('span', { class: 'author clip' }, name);
    this.time = h('time', { class: 'muted' });
    this.words = h('p', { class: 'words', dir: 'auto' });
    this.notes = h('div', { class: 'notes' });
    this.element = h('li', { class: isAgent ? 'message agent' : 'message user' },
      h('p', { class: 'by' }, this.author, this.time), this.words, this.notes);
  }

  /** Shows the stored message. */
  set(text, createdAt) {
    this.isStored = true;
    this.element.classList.remove('streaming', 'pending');
    this.write(text);
    const at = new Date(createdAt);
    this.element.dataset.at = at.getTime();
    this.time.dateTime = at.toISOString();
    this.time.title = fullTime(at);
    setText(this.time, timeOfDay(at));
  }

  /** Shows a message that is being streamed. */
  stream(text) {
    this.element.classList.add('streaming');
    this.write(text);
  }

  /** Shows a message that is being sent. */
  pend(text) {
    this.element.classList.add('pending');
    this.notes.replaceChildren();
    setText(this.time, 'sending');
    this.write(text);
  }

  write(text) {
    this.text = text;
    setText(this.words, text);
  }

  annotate({ thought, attachments, failure, action }) {
    const notes = [];
    if (thought) notes.push(h('details', {}, h('summary', {}, 'Thought'), h('p', {}, thought)));
    for (const { type, url, name } of attachments ?? []) notes.push(h('p', { class: 'attachment' }, `${type}: `, h('span', { class: 'mono' }, name ?? url)));
    if (failure) notes.push(h('p', { class: 'failure' }, failure.message, action && ' ', action));
    this.notes.replaceChildren(...notes);
    if (failure) {
      this.element.classList.remove('pending');
      if (!this.isStored) setText(this.time, this.isAgent ? '' : 'not sent');
    }
  }
}
