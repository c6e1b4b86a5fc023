// The view of a message: stored, being sent, or being streamed.

import { attachmentList } from './attachments.js';
import { copyButton } from './copy.js';
import { button, h, setText, slowButton } from './dom.js';
import { failureText, shortcoming } from './failures.js';
import { count, fullTime, timeOfDay } from './format.js';
import { Markdown } from './markdown.js';

/** The number of characters of an agent's thinking that are shown while it happens, and of its tools. */
const MAX_THINKING = 20_000;
const MAX_TOOLS = 20;
const LABELS = { pending: 'sending', refused: 'not sent' };

const words = (kind, text) => h('p', { class: kind, dir: 'auto' }, text);
const thought = (text, open = false) => h('details', { class: 'thought', open }, h('summary', {}, 'Thinking'), words('', text));

export class Message {
  /** `pending` and `refused` by the server, `streaming` and `broken` off, or `stored`. */
  state = 'new';
  text = '';
  metadata = {};
  isRaw = false;

  /** `on` has `retry(message)`, `canRepeat(message)`, `regenerate(message)` and `edit(message)`. */
  constructor(isAgent, name, on) {
    Object.assign(this, { isAgent, on });
    this.author = h('span', { class: 'author clip', dir: 'auto' }, name);
    this.time = h('span', { class: 'muted' });
    this.words = isAgent ? h('div', { class: 'words prose' }) : words('words');
    this.activity = h('div', { class: 'doing' });
    this.notes = h('div', { class: 'notes' });
    this.tools = h('div', { class: 'tools' });
    this.element = h('li', { class: `message ${isAgent ? 'agent' : 'user'} new` },
      h('p', { class: 'by' }, this.author, this.time), this.activity, this.words, this.notes, this.tools);
  }

  /** Shows the message as the server has stored it. */
  store({ id, text, createdAt, metadata = {}, attachments, inReplyTo, thought: own = metadata.thought }) {
    const at = new Date(createdAt).getTime();
    this.set({ state: 'stored', id, text, createdAt: at, metadata, attachments, inReplyTo, thought: own, failure: metadata.agentError });
  }

  /** Changes what is known of the message, and shows it. */
  set(fields) {
    this.element.classList.remove(this.state);
    Object.assign(this, fields);
    const { state } = this;
    this.element.classList.add(state);
    this.element.ariaBusy = state === 'streaming';
    if (state !== 'streaming') this.clearActivity();
    setText(this.time, state === 'stored' ? timeOfDay(this.createdAt) : LABELS[state] ?? '');
    this.write();
    const isOpen = this.notes.querySelector('.thought[open]') !== null;
    this.notes.replaceChildren(...this.remarks(isOpen).filter(Boolean));
    this.tools.replaceChildren(...(state === 'stored' ? this.offers().filter(Boolean) : []));
  }

  /** Shows the beginning of a reply, at most once a frame. */
  stream(text) {
    this.text = text;
    if (this.state !== 'streaming') this.set({ state: 'streaming' });
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.write();
    });
  }

  write() {
    if (!this.isAgent) setText(this.words, this.text);
    else if (this.isRaw) {
      this.markdown = undefined;
      this.words.replaceChildren(words('plain', this.text));
    } else {
      this.markdown ??= new Markdown(this.words);
      this.markdown.show(this.text);
    }
  }

  /** Shows what the agent does before and between its words. */
  act({ kind, name, state, text = '' }) {
    const key = `${kind} ${name}`;
    let line = [...this.activity.children].find(({ dataset }) => dataset.key === key);
    if (!line && this.activity.childElementCount > MAX_TOOLS) return;
    if (!line) {
      line = kind === 'thinking' ? thought('') : words('', '');
      line.dataset.key = key;
      this.activity.append(line);
    }
    if (kind === 'thinking') setText(line.lastChild, (line.lastChild.textContent + text).slice(-MAX_THINKING));
    else {
      line.dataset.state = state ?? line.dataset.state ?? '';
      setText(line, [key === 'status retry' ? 'Retrying' : name, state, text].filter(Boolean).join(' · '));
    }
  }

  clearActivity() {
    this.activity.replaceChildren();
  }

  /** What is said about a message below it. */
  remarks(isOpen) {
    const { state, failure, cause } = this;
    const problem = state === 'refused' && words('failure', this.problem);
    if (problem && this.again) problem.append(' ', button('Send again', this.again, 'link'));
    const lack = state === 'broken' ? 'This part of a reply was not stored.' : this.isAgent && shortcoming(this.metadata);
    return [
      this.isAgent && typeof this.thought === 'string' && this.thought && thought(this.thought, isOpen),
      attachmentList(this.attachments),
      lack && words('shortcoming', lack),
      problem,
      failure && words(failure.code === 'TURN_CANCELLED' ? 'muted' : 'failure', failureText(failure)),
      failure && cause && words('cause', cause),
    ];
  }

  /** What can be done with a stored message. */
  offers() {
    const { on, isAgent } = this;
    return [
      this.failure && slowButton(on.canRepeat(this) ? 'Retry' : 'Retry in a new session', () => on.retry(this), { class: 'quiet act' }),
      copyButton(() => this.text),
      isAgent && this.rawButton(),
      isAgent && this.inReplyTo && slowButton('Regenerate', () => on.regenerate(this), { class: 'quiet act regenerate' }),
      !isAgent && button('Edit', () => on.edit(this), 'quiet act'),
      this.details(),
    ];
  }

  rawButton() {
    const raw = button('Raw', () => {
      this.isRaw = !this.isRaw;
      raw.ariaPressed = this.isRaw;
      this.write();
    }, 'quiet');
    raw.ariaPressed = this.isRaw;
    return raw;
  }

  details() {
    const { model, usage, finishReason, interrupted, truncated } = this.isAgent ? this.metadata : {};
    const line = [
      fullTime(this.createdAt),
      model && `Model ${model}`,
      Number.isFinite(usage?.inputTokens + usage?.outputTokens) && `${count(usage.inputTokens)} tokens in, ${count(usage.outputTokens)} out`,
      finishReason && `finish reason: ${finishReason}`,
      interrupted && 'interrupted',
      truncated && 'truncated',
    ];
    return h('details', {}, h('summary', {}, 'Details'),
      words('', line.filter(Boolean).join(' · ')),
      h('p', {}, 'Message ', h('span', { class: 'mono' }, this.id), ' ', copyButton(() => this.id)));
  }
}
