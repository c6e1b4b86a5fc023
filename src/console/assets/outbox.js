// The messages of a conversation that the server has not confirmed. They are sent one at a time, so that
// they are stored in order.

import { saveDraft } from './composer.js';
import { newId } from './dialogs.js';
import { h, notify } from './dom.js';
import { send } from './sending.js';

export class Outbox {
  waiting = [];

  constructor(conversation) {
    this.conversation = conversation;
  }

  async say(text) {
    const { conversation } = this;
    const { transcript } = conversation;
    if (transcript.hasLater) await transcript.busily(() => transcript.showLatest());
    const message = conversation.view(undefined, false, 'You');
    message.pend(text);
    transcript.append(message);
    transcript.toEnd();
    this.enqueue({ text, message, key: newId(), id: undefined });
  }

  /** The view of an own message that was stored, whose broadcast may arrive before the response. */
  confirm(id, text) {
    const sent = this.waiting.find((own) => !own.id && own.text === text);
    if (sent) this.stored(sent, id);
    return sent?.message;
  }

  /** Notes that a message was stored, so that it is no longer a draft. */
  stored(sending, id) {
    sending.id = id;
    if (!this.conversation.signal.aborted) this.conversation.composer.save();
  }

  unconfirmed() {
    return this.waiting.filter(({ id }) => !id).map(({ message }) => message);
  }

  enqueue(sending) {
    this.waiting.push(sending);
    this.conversation.composer.save();
    if (this.waiting.length === 1) this.sendAll();
  }

  async sendAll() {
    while (this.waiting.length && !this.conversation.isClosed) {
      await this.send(this.waiting[0]);
      this.waiting.shift();
    }
  }

  async send(sending) {
    const { conversation } = this;
    const { text, message, key } = sending;
    try {
      const { userMessage, sessionStatus } = await send(conversation.id, { content: text }, { key, isOver: () => conversation.isClosed });
      this.stored(sending, userMessage.id);
      this.settle(message, { ...userMessage, text });
      conversation.onSent(sessionStatus);
    } catch (error) {
      this.refuse(sending, error);
    }
  }

  settle(message, stored) {
    const { messages, transcript } = this.conversation;
    const shown = messages.get(stored.id);
    if (shown && shown !== message) message.element.remove();
    if (shown || transcript.hasLater) return;
    this.conversation.register(stored.id, message);
    message.store(stored);
    transcript.move(message);
  }

  refuse(sending, error) {
    const { conversation } = this;
    const { message, text } = sending;
    if (conversation.signal.aborted) {
      saveDraft(conversation.id, text);
      return;
    }
    const again = h('button', { type: 'button', class: 'link', onclick: () => {
      message.pend(text);
      this.enqueue(sending);
    } }, 'Send again');
    const isFinal = conversation.isClosed || error.status === 400;
    message.refuse(error.message, isFinal ? undefined : again);
    if (message.element.isConnected) return;
    notify(error.message, 'bad');
    conversation.composer.restore(text);
  }
}
