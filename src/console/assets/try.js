// A panel per operation: its call in several languages, and a form that sends it.

import { token } from './api.js';
import { field, openForm } from './dialogs.js';
import { h } from './dom.js';
import { Exchange } from './exchange.js';
import { NO_SESSION, idFor, isDenied, reader, whenReaderChanges, withIds } from './reader.js';
import { code, copyable, examplesOf, methodOf, prose, sample } from './reference.js';
import { LANGUAGES } from './snippets.js';

/** What fields may contain. Browsers resolve `.` and `..` in a path, which would then be another one. */
const VALID = {
  path: { pattern: String.raw`(?!\.\.?$).*`, title: 'Neither . nor ..' },
  header: { pattern: '[ -~]*', title: 'ASCII characters' },
};

let language = 'curl';
const panels = [];

function choose(name) {
  language = name;
  for (const panel of panels) panel.render();
}

export class TryPanel {
  #code = sample('', 'Call');
  #note = h('p', { class: 'hint' });
  #send = h('button', { class: 'primary', onclick: (event) => this.#stop(event) }, 'Send');
  #exchange = new Exchange();
  #sending;

  constructor(operation) {
    this.operation = operation;
    const { body, parameters = [] } = operation;
    this.fields = parameters.map((parameter) => ({ ...parameter, input: this.#input('input', { required: parameter.required, ...VALID[parameter.in] }) }));
    this.body = body && this.#input('textarea', { oninvalid: () => this.#selectError() });
    this.languages = Object.keys(LANGUAGES).map((name) => h('button', { type: 'button', class: 'quiet', onclick: () => choose(name) }, name));
    this.element = h('form', { class: 'parts try', onsubmit: (event) => this.#submit(event) },
      ...this.fields.map(({ name, input, required }) => field(name + (required ? ' (required)' : ''), input)),
      body && field('Body', this.body),
      copyable(h('div', { role: 'group', 'aria-label': 'Language' }, ...this.languages), this.#code),
      h('div', { class: 'actions' }, this.#send, this.#note), this.#exchange.element);
    panels.push(this);
    whenReaderChanges(() => this.#fill());
  }

  #input(kind, properties) {
    return h(kind, { ...properties, class: 'mono', autocomplete: 'off', spellcheck: 'false', oninput: () => this.render() });
  }

  /** Sets the fields. Browsers show the default value of those that were not edited. */
  #fill() {
    for (const { name, input, required } of this.fields) {
      if (required) input.defaultValue = (idFor(name) ?? '').replace(NO_SESSION, '');
    }
    if (this.body) {
      const [[, example]] = examplesOf(this.operation.body);
      this.body.defaultValue = this.#isJson ? JSON.stringify(withIds(example), undefined, 2) : example;
      this.body.rows = Math.min(14, this.body.value.split('\n').length);
    }
    const needsToken = reader.needsToken && !reader.role && !this.operation.isPublic;
    const needsRole = isDenied(this.operation);
    this.#send.disabled = needsToken || needsRole;
    this.#note.replaceChildren(...(needsToken ? ['A token is required. ', h('a', { href: '/' }, 'Sign in')] : [needsRole ? `Not for the role ${reader.role}.` : '']));
    this.render();
  }

  /** Whether the body is JSON. Else it is text. */
  get #isJson() {
    return this.operation.bodyType === 'application/json';
  }

  render() {
    for (const button of this.languages) button.setAttribute('aria-pressed', button.textContent === language);
    if (this.body) this.#readBody(this.body.value.trim() && this.body.value);
    this.#code.textContent = LANGUAGES[language](this.#call(reader.needsToken && 'TOKEN'));
  }

  /** While the body is edited, the call has its last valid text. */
  #readBody(text) {
    let problem = '';
    try {
      if (text && this.#isJson) JSON.parse(text);
      this.validBody = text;
    } catch ({ message }) {
      problem = `The body is not valid JSON. ${message}`;
    }
    this.body.setCustomValidity(problem);
  }

  /** Moves the cursor to the error in the body, where the browser names its position. */
  #selectError() {
    const [, line, column] = /line (\d+) column (\d+)/.exec(this.body.validationMessage) ?? [];
    if (!line) return;
    const at = this.body.value.split('\n').slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, column - 1);
    this.body.setSelectionRange(at, at);
  }

  /** The call with the values of the fields, and placeholders for those that are missing. */
  #call(bearer) {
    const { method, path, kind, isPublic, bodyType } = this.operation;
    const values = { path: {}, query: {}, header: {} };
    for (const { name, input, required, in: place } of this.fields) {
      const value = input.value || (required && (idFor(name) ?? name.replace(/[A-Z]/g, '_$&').toUpperCase()));
      if (value) values[place][name] = value;
    }
    const body = this.validBody || undefined;
    const query = new URLSearchParams(values.query).toString();
    const full = path.replace(/{(\w+)}/g, (_, name) => encodeURIComponent(values.path[name])) + (query && `?${query}`);
    return {
      method: method.toUpperCase(), path: full, url: location.origin + full, body, kind, isJson: this.#isJson,
      headers: Object.entries({
        ...(bearer && !isPublic && { Authorization: `Bearer ${bearer}` }), ...values.header, ...(body && { 'Content-Type': bodyType }),
      }),
    };
  }

  #stop(event) {
    if (!this.#sending) return;
    event.preventDefault();
    this.#sending.abort();
  }

  async #submit(event) {
    event.preventDefault();
    const call = this.#call(token.get());
    if (call.method !== 'GET' && !(await confirmed(this.operation, call))) return;
    this.#sending = new AbortController();
    this.#send.textContent = 'Stop';
    await this.#exchange.send(call, this.#sending.signal);
    this.#send.textContent = 'Send';
    this.#sending = undefined;
  }
}

/** Asks, naming what the call does. */
const confirmed = ({ summary, description, method }, { path }) => openForm({
  title: `${summary}?`,
  intro: prose(description),
  content: [h('p', {}, methodOf(method), ' ', code(path))],
  action: 'Send', danger: method === 'delete', submit: async () => true,
});
