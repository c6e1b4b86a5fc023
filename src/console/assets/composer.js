// The composer of a conversation: drafts, the limit of the length, sending, editing and stopping.

import { h, setText } from './dom.js';
import { count, timeOfDay } from './format.js';

const MAX_CHARACTERS = 4000;
/** The length from which on the counter is shown. */
const NEAR_LIMIT = 3600;

const draftOf = (id) => `sessiond.draft.${id}`;

/** Stores an unsent text for a session in this tab. */
export function saveDraft(id, text) {
  try {
    if (text) sessionStorage.setItem(draftOf(id), text);
    else sessionStorage.removeItem(draftOf(id));
  } catch {
    // The storage is full. The text is still in the field.
  }
}

const button = (text, kind, onclick) => h('button', { type: 'button', class: kind, onclick }, text);

export class Composer {
  editing = undefined;

  /**
   * `on` has `send(text)`, `unsent()`, which returns the texts that wait, `edit(message, text)`, which resolves
   * when it was sent, and `stop()`.
   */
  constructor(id, on) {
    this.id = id;
    this.on = on;
    this.input = h('textarea', {
      id: 'say', rows: '1', placeholder: 'Write a message', dir: 'auto', 'aria-describedby': 'say-hint say-count',
      onkeydown: (event) => this.key(event), oninput: (event) => this.changed(event),
    });
    this.stopButton = button('Stop', 'stop', () => this.stop());
    this.stopButton.hidden = true;
    this.sendButton = h('button', { type: 'submit', class: 'primary' }, 'Send');
    this.notice = h('p', { class: 'editing', hidden: true }, h('span', {}), button('Cancel', 'link', () => this.cancelEdit()));
    this.counter = h('p', { class: 'hint counter', id: 'say-count', hidden: true });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.element = h('form', { class: 'composer', onsubmit: (event) => this.submit(event) },
      h('label', { for: 'say', class: 'hidden' }, 'Message'),
      this.notice,
      h('div', { class: 'composer-row' }, this.input, this.stopButton, this.sendButton),
      this.problem,
      h('div', { class: 'composer-hints' },
        h('p', { class: 'hint', id: 'say-hint' }, 'Press Enter to send, Shift+Enter for a new line.'), this.counter));
    this.input.value = sessionStorage.getItem(draftOf(id)) ?? '';
  }

  opened(takesFocus) {
    this.check();
    this.grow();
    const { activeElement } = document;
    const isFree = activeElement === document.body || activeElement?.id === 'main';
    if (takesFocus && isFree) this.input.focus({ preventScroll: true });
  }

  setBusy(isBusy) {
    if (this.stopButton.hidden === !isBusy) return;
    const hadFocus = document.activeElement === this.stopButton;
    this.stopButton.hidden = !isBusy;
    this.stopButton.disabled = false;
    if (hadFocus) this.input.focus();
  }

  async stop() {
    const hadFocus = document.activeElement === this.stopButton;
    this.stopButton.disabled = true;
    if (hadFocus) this.input.focus();
    try {
      await this.on.stop();
    } finally {
      this.stopButton.disabled = false;
    }
  }

  key(event) {
    if (event.key === 'Escape' && this.editing) this.cancelEdit();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  changed({ inputType }) {
    const surplus = this.check();
    this.grow();
    this.save();
    const isInserted = inputType === 'insertFromPaste' || inputType === 'insertFromDrop';
    if (surplus > 0 && isInserted) this.complain(surplus, 'The pasted text was kept whole.');
  }

  /** Shows the length near the limit. Returns the number of characters beyond it. */
  check() {
    const length = lengthOf(this.input.value);
    const surplus = length - MAX_CHARACTERS;
    this.counter.hidden = length < NEAR_LIMIT;
    setText(this.counter, `${count(length)} of ${count(MAX_CHARACTERS)} characters`);
    this.counter.classList.toggle('over', surplus > 0);
    if (surplus > 0) this.input.setAttribute('aria-invalid', 'true');
    else {
      this.input.removeAttribute('aria-invalid');
      setText(this.problem, '');
    }
    return surplus;
  }

  /** Stores what is not sent yet, so that it outlives a reload. */
  save() {
    const texts = [...this.on.unsent(), this.editing ? this.draft : this.input.value];
    saveDraft(this.id, texts.filter((text) => text?.trim()).join('\n\n'));
  }

  complain(surplus, lead) {
    const one = surplus === 1 ? 'character' : 'characters';
    setText(this.problem, `${lead} A message can have ${count(MAX_CHARACTERS)} characters: remove ${count(surplus)} ${one} to send it.`);
  }

  grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }

  set(text) {
    this.input.value = text;
    this.check();
    this.grow();
  }

  /** Puts a message that was not sent back, unless something else was written meanwhile. */
  restore(text) {
    if (!this.input.value) this.set(text);
    this.save();
  }

  submit(event) {
    event.preventDefault();
    const text = this.input.value;
    if (!text.trim()) return;
    const surplus = this.check();
    if (surplus > 0) {
      this.complain(surplus, 'The message is too long.');
      this.input.focus();
      return;
    }
    if (this.editing) {
      this.sendEdited(text);
      return;
    }
    this.set('');
    this.on.send(text);
  }

  async sendEdited(text) {
    this.sendButton.disabled = true;
    try {
      await this.on.edit(this.editing, text);
    } finally {
      this.sendButton.disabled = false;
    }
  }

  /** Edits a message. The draft returns afterwards. */
  edit(message) {
    if (!this.editing) this.draft = this.input.value;
    this.editing = message;
    setText(this.notice.firstChild, `Editing the message of ${timeOfDay(message.createdAt)}. The conversation continues from there in a new session.`);
    this.notice.hidden = false;
    this.set(message.text);
    this.input.focus();
  }

  cancelEdit() {
    this.editing = undefined;
    this.notice.hidden = true;
    this.set(this.draft);
    this.input.focus();
  }
}

/** The number of Unicode characters, which the server counts. */
function lengthOf(text) {
  let pairs = 0;
  for (let index = 0; index < text.length - 1; index += 1) {
    const isHigh = (text.charCodeAt(index) & 0xfc00) === 0xd800;
    if (isHigh && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) pairs += 1;
  }
  return text.length - pairs;
}
