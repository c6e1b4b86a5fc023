// The messages of a conversation that are not known to be stored. They are sent one at a time, so that
// they are stored in order.

import { newId } from './dialogs.js';
import { send } from './sending.js';

export class Outbox {
  /** In order: `{ text, message, key }`. */
  unsent = [];
  /** Resolves when the last message was sent or refused. */
  last = Promise.resolve();

  constructor(conversation) {
    this.conversation = conversation;
  }

  async say(text) {
    const { conversation } = this;
    const { transcript } = conversation;
    if (transcript.hasLater) await transcript.busily(() => transcript.showLatest());
    const sending = { text, message: conversation.view(false), key: newId() };
    this.unsent.push(sending);
    this.enqueue(sending);
    transcript.append(sending.message);
    transcript.toEnd();
  }

  enqueue(sending) {
    const { text, message } = sending;
    message.set({ state: 'pending', text });
    this.conversation.composer.save();
    this.last = this.last.then(() => this.send(sending));
  }

  async send(sending) {
    const { conversation } = this;
    const { text, message, key } = sending;
    try {
      const { userMessage } = await send(conversation.id, { content: text }, key);
      this.take(sending);
      conversation.store(message, { ...userMessage, text });
    } catch (error) {
      if (this.unsent.includes(sending)) this.refuse(sending, error);
    }
  }

  /** Takes the view of an own message that was stored, whose event may arrive before the response. */
  confirm(text) {
    const own = this.unsent.find(({ text: other, message }) => other === text && message.state === 'pending');
    if (own) this.take(own);
    return own?.message;
  }

  take(sending) {
    this.unsent = this.unsent.filter((other) => other !== sending);
    if (!this.conversation.signal.aborted) this.conversation.composer.save();
  }

  refuse(sending, error) {
    const { composer, isClosed, signal, transcript } = this.conversation;
    const again = isClosed || error.status === 400 ? undefined : () => this.enqueue(sending);
    sending.message.set({ state: 'refused', createdAt: transcript.newest, problem: error.message, again });
    // Who is not signed in any more leaves no drafts.
    if (!signal.aborted || error.status !== 401) composer.save();
  }

  /** The texts that a reload must not lose. What is pending is still sent after the view was left. */
  get texts() {
    const { aborted } = this.conversation.signal;
    return this.unsent.filter(({ message }) => !aborted || message.state === 'refused').map(({ text }) => text);
  }
}
