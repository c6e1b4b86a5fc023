// The composer of a conversation: drafts, the limit of the length, sending, editing and stopping.

import { button, h, setText, slowButton } from './dom.js';
import { count, plural, timeOfDay } from './format.js';

const MAX_CHARACTERS = 4000;
/** The length from which on the counter is shown. */
const NEAR_LIMIT = 3600;
const DRAFT = 'sessiond.draft.';

/** Stores an unsent text for a session in this tab. */
export function saveDraft(id, text) {
  try {
    if (text) sessionStorage.setItem(DRAFT + id, text);
    else sessionStorage.removeItem(DRAFT + id);
  } catch {
    // The storage is full. The text is still in the field.
  }
}

/** Removes the drafts of all sessions in this tab. */
export function forgetDrafts() {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith(DRAFT)) sessionStorage.removeItem(name);
}

export class Composer {
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
    this.input.value = sessionStorage.getItem(DRAFT + id) ?? '';
    this.stop = slowButton('Stop', () => {
      this.input.focus();
      return on.stop();
    }, { class: 'stop' });
    this.stop.hidden = true;
    this.send = h('button', { type: 'submit', class: 'primary' }, 'Send');
    this.notice = h('p', { class: 'editing', hidden: true }, h('span'), button('Cancel', () => this.cancelEdit(), 'link'));
    this.counter = h('p', { class: 'hint counter', id: 'say-count', hidden: true });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.element = h('form', { class: 'composer', onsubmit: (event) => this.submit(event) },
      h('label', { for: 'say', class: 'hidden' }, 'Message'),
      this.notice,
      h('div', { class: 'composer-row' }, this.input, this.stop, this.send),
      this.problem,
      h('div', { class: 'composer-hints' },
        h('p', { class: 'hint', id: 'say-hint' }, 'Press Enter to send, Shift+Enter for a new line.'), this.counter));
  }

  opened(takesFocus) {
    this.check();
    const { activeElement } = document;
    if (takesFocus && (activeElement === document.body || activeElement?.id === 'main')) this.input.focus({ preventScroll: true });
  }

  setBusy(isBusy) {
    if (!isBusy && document.activeElement === this.stop) this.input.focus();
    this.stop.hidden = !isBusy;
  }

  key(event) {
    if (event.key === 'Escape' && this.editing) this.cancelEdit();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  changed({ inputType }) {
    const surplus = this.check();
    this.save();
    if (['insertFromPaste', 'insertFromDrop'].includes(inputType)) this.complain(surplus, 'The pasted text was kept whole.');
  }

  /** Fits the field to the text, and shows its length near the limit. Returns the number of characters beyond it. */
  check() {
    const { length } = [...this.input.value];
    const surplus = length - MAX_CHARACTERS;
    this.counter.hidden = length < NEAR_LIMIT;
    setText(this.counter, `${count(length)} of ${count(MAX_CHARACTERS)} characters`);
    this.counter.classList.toggle('over', surplus > 0);
    this.input.ariaInvalid = surplus > 0;
    if (surplus <= 0) setText(this.problem, '');
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
    return surplus;
  }

  complain(surplus, lead) {
    if (surplus <= 0) return;
    setText(this.problem, `${lead} A message can have ${count(MAX_CHARACTERS)} characters: remove ${plural(surplus, 'character')} to send it.`);
  }

  /** Stores what is not sent yet, so that it outlives a reload. */
  save() {
    const texts = [...this.on.unsent(), this.editing ? this.draft : this.input.value];
    saveDraft(this.id, texts.filter((text) => text.trim()).join('\n\n'));
  }

  set(text) {
    this.input.value = text;
    this.check();
  }

  async submit(event) {
    event.preventDefault();
    if (this.send.disabled) return;
    const text = this.input.value;
    const surplus = this.check();
    if (surplus > 0) {
      this.complain(surplus, 'The message is too long.');
      this.input.focus();
    } else if (text.trim() && this.editing) {
      this.send.disabled = true;
      await this.on.edit(this.editing, text);
      this.send.disabled = false;
    } else if (text.trim()) {
      this.set('');
      this.on.send(text);
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
