// The view of a message: stored, being sent, or being streamed.

import { attachmentList } from './attachments.js';
import { copyButton } from './copy.js';
import { h, setText } from './dom.js';
import { failureText, shortcoming } from './failures.js';
import { count, fullTime, timeOfDay } from './format.js';
import { Markdown } from './markdown.js';

/** A text longer than this is rendered less often while it is streamed. */
const LONG = 12_000;
const LONG_PAUSE = 300;
/** The number of characters of an agent's thinking that are shown while it happens. */
const MAX_THINKING = 20_000;

const button = (text, onclick, kind = 'act') => h('button', { type: 'button', class: `quiet ${kind}`, onclick }, text);

/** A button that is disabled until its action is done. */
function slowButton(text, act) {
  const made = button(text, async () => {
    made.disabled = true;
    await act();
    made.disabled = false;
  });
  return made;
}

export class Message {
  isStored = false;
  isRaw = false;
  text = '';
  metadata = {};

  /** `on` has `retry(message)`, `regenerate(message)` and `edit(message)`. */
  constructor(isAgent, name, on) {
    this.isAgent = isAgent;
    this.on = on;
    this.author = h('span', { class: 'author clip', dir: 'auto' }, name);
    this.time = h('time', { class: 'muted' });
    this.words = h(isAgent ? 'div' : 'p', { class: isAgent ? 'words prose' : 'words', dir: isAgent ? undefined : 'auto' });
    if (isAgent) this.markdown = new Markdown(this.words);
    this.activity = h('div', { class: 'doing' });
    this.notes = h('div', { class: 'notes' });
    this.tools = h('div', { class: 'tools' });
    this.element = h('li', { class: isAgent ? 'message agent' : 'message user' },
      h('p', { class: 'by' }, this.author, this.time), this.activity, this.words, this.notes, this.tools);
  }

  store({ id, text, createdAt, metadata = {}, attachments, inReplyTo, thought }) {
    this.isStored = true;
    Object.assign(this, { id, metadata, attachments, inReplyTo: inReplyTo ?? this.inReplyTo, thought: thought ?? metadata.thought });
    this.failure = metadata.agentError;
    this.problem = undefined;
    this.element.classList.remove('streaming', 'pending');
    this.element.removeAttribute('aria-busy');
    this.clearActivity();
    this.write(text);
    const at = new Date(createdAt);
    this.createdAt = at.getTime();
    this.element.dataset.at = this.createdAt;
    this.time.dateTime = at.toISOString();
    this.time.title = fullTime(at);
    setText(this.time, timeOfDay(at));
    this.annotate();
  }

  pend(text) {
    this.element.classList.add('pending');
    this.problem = undefined;
    setText(this.time, 'sending');
    this.write(text);
    this.annotate();
  }

  refuse(problem, again) {
    this.problem = problem;
    this.again = again;
    this.element.classList.remove('pending');
    setText(this.time, 'not sent');
    this.annotate();
  }

  /** Shows the beginning of a reply, at most once a frame. */
  stream(text) {
    this.element.classList.add('streaming');
    this.element.setAttribute('aria-busy', 'true');
    this.text = text;
    if (this.isBroken) {
      this.isBroken = false;
      this.annotate();
    }
    if (this.frame) return;
    const draw = () => {
      this.frame = undefined;
      if (!this.isStored) this.write(this.text);
    };
    this.frame = text.length > LONG ? setTimeout(draw, LONG_PAUSE) : requestAnimationFrame(draw);
  }

  /** Keeps the words of a reply that failed, which are not stored. */
  breakOff() {
    this.isBroken = true;
    this.element.classList.remove('streaming');
    this.element.removeAttribute('aria-busy');
    this.clearActivity();
    this.annotate();
  }

  fail(failure) {
    this.failure = failure;
    this.cause = undefined;
    this.annotate();
  }

  explain(cause) {
    this.cause = cause;
    this.annotate();
  }

  write(text) {
    this.text = text;
    const isPlain = !this.isAgent || this.isRaw;
    const shown = `${isPlain}${text}`;
    if (shown === this.written) return;
    this.written = shown;
    this.words.classList.toggle('prose', !isPlain);
    if (!this.isAgent) setText(this.words, text);
    else if (this.isRaw) this.words.replaceChildren(h('p', { class: 'plain', dir: 'auto' }, text));
    else {
      if (this.wasRaw) {
        this.words.replaceChildren();
        this.markdown = new Markdown(this.words);
      }
      this.markdown.show(text);
    }
    this.wasRaw = this.isRaw;
    this.onResize?.();
  }

  act({ kind, name, state, text }) {
    if (this.isStored) return;
    if (kind === 'thinking') this.think(text ?? '');
    else if (kind === 'tool' || kind === 'status') this.report(`${kind} ${name ?? ''}`, kind, name, state, text);
  }

  think(piece) {
    if (!this.thinking) {
      this.thinking = h('p', { dir: 'auto' });
      this.activity.prepend(h('details', { class: 'thought' }, h('summary', {}, 'Thinking'), this.thinking));
    }
    setText(this.thinking, (this.thinking.textContent + piece).slice(-MAX_THINKING));
  }

  report(key, kind, name, state, text) {
    this.reports ??= new Map();
    if (!this.reports.has(key)) {
      if (this.reports.size >= 20) return;
      this.reports.set(key, h('p', { dir: 'auto' }));
      this.activity.append(this.reports.get(key));
    }
    const line = this.reports.get(key);
    if (state) line.dataset.state = state;
    const title = name === 'retry' && kind === 'status' ? 'Retrying' : name;
    setText(line, [title, state, text].filter(Boolean).join(' · '));
  }

  clearActivity() {
    this.activity.replaceChildren();
    this.thinking = this.reports = undefined;
  }

  annotate() {
    const isOpen = this.notes.querySelector('.thought[open]') !== null;
    this.notes.replaceChildren(...[
      this.isStored && this.isAgent && typeof this.thought === 'string' && this.thought
        && h('details', { class: 'thought', open: isOpen }, h('summary', {}, 'Thought'), h('p', { dir: 'auto' }, this.thought)),
      attachmentList(this.attachments),
      this.isAgent && note(shortcoming(this.metadata)),
      this.isBroken && !this.isStored && note('This part of a reply was not stored.'),
      this.problem && h('p', { class: 'failure' }, this.problem, this.again && ' ', this.again),
      ...this.failureNotes(),
    ].filter(Boolean));
    this.showTools();
  }

  failureNotes() {
    if (!this.failure) return [];
    const isStopped = this.failure.code === 'TURN_CANCELLED';
    return [
      h('p', { class: isStopped ? 'muted' : 'failure', dir: 'auto' }, failureText(this.failure)),
      this.cause && h('p', { class: 'cause', dir: 'auto' }, this.cause),
    ];
  }

  /** `isLast` tells whether this is the last reply. */
  markLast(isLast) {
    if (this.isLast === isLast) return;
    this.isLast = isLast;
    this.element.classList.toggle('last', isLast);
    if (this.regenerate) this.regenerate.hidden = !isLast;
  }

  showTools() {
    if (!this.isStored) {
      this.tools.replaceChildren();
      return;
    }
    const tools = [this.failure && slowButton('Retry', () => this.on.retry(this)), copyButton(() => this.text)];
    if (this.isAgent) tools.push(this.rawButton());
    if (this.isAgent && this.inReplyTo) {
      this.regenerate = slowButton('Regenerate', () => this.on.regenerate(this));
      this.regenerate.hidden = !this.isLast;
      tools.push(this.regenerate);
    }
    if (!this.isAgent) tools.push(button('Edit', () => this.on.edit(this)));
    tools.push(this.details());
    this.tools.replaceChildren(...tools.filter(Boolean));
  }

  rawButton() {
    const raw = button('Raw', () => {
      this.isRaw = !this.isRaw;
      raw.setAttribute('aria-pressed', this.isRaw);
      this.write(this.text);
    }, '');
    raw.setAttribute('aria-pressed', this.isRaw);
    return raw;
  }

  details() {
    const { model, usage, finishReason, interrupted, truncated } = this.metadata;
    const tokens = (value) => (Number.isFinite(value) ? count(value) : '?');
    const facts = this.isAgent ? [
      model && `Model ${model}`,
      usage && typeof usage === 'object' && `${tokens(usage.inputTokens)} tokens in, ${tokens(usage.outputTokens)} out`,
      finishReason && `finish reason: ${finishReason}`,
      interrupted && 'interrupted',
      truncated && 'truncated',
    ] : [];
    const line = [fullTime(this.createdAt), ...facts].filter(Boolean).join(' · ');
    return h('details', { class: 'details' }, h('summary', {}, 'Details'),
      h('p', { dir: 'auto' }, line),
      h('p', {}, 'Message ', h('span', { class: 'mono' }, this.id), ' ', copyButton(() => this.id)));
  }
}

const note = (text) => text && h('p', { class: 'shortcoming' }, text);
