// A panel per operation: its call in several languages, and a form that sends it.

import { copyButton } from './copy.js';
import { openForm } from './dialogs.js';
import { h } from './dom.js';
import { Exchange } from './exchange.js';
import { NO_SESSION, idFor, isDenied, reader, whenReaderChanges, withIds } from './reader.js';
import { examplesOf, prose } from './reference.js';
import { LANGUAGES, jsonError } from './snippets.js';

let language = 'curl';
const panels = [];

function choose(name) {
  language = name;
  for (const panel of panels) panel.render();
}

export class TryPanel {
  #edited = new Set();
  #code = h('pre', { class: 'sample', tabindex: '0', role: 'tabpanel' });
  #problem = h('p', { class: 'problem', role: 'alert' });
  #note = h('p', { class: 'hint' });
  #send = h('button', { class: 'primary' }, 'Send');
  #exchange = new Exchange();

  constructor(operation) {
    this.operation = operation;
    const { operationId, body, bodyType, parameters = [] } = operation;
    this.id = (name) => `${operationId}-${name}`;
    this.fields = parameters.map((parameter) => ({ ...parameter, input: this.#input('input', parameter.name) }));
    this.body = body && this.#input('textarea', 'body');
    this.example = body && examplesOf(body)[0][1];
    this.tabs = Object.keys(LANGUAGES).map((name) => h('button', {
      type: 'button', role: 'tab', class: 'quiet', id: this.id(name), onclick: () => choose(name), onkeydown: (event) => this.#move(event),
    }, name));
    const labelled = (name, input, hint) => h('div', { class: 'field' }, h('label', { for: input.id }, name, h('span', { class: 'hint' }, hint)), input);
    this.element = h('form', { class: 'try', novalidate: true, 'aria-label': `Try ${operationId}`, onsubmit: (event) => this.#submit(event) },
      h('h4', {}, 'Try it'),
      ...this.fields.map(({ name, input, required }) => labelled(name, input, required && ' required')),
      body && labelled('Body', this.body, ` ${bodyType}`),
      h('div', { class: 'snippet' }, h('div', { class: 'tabs' }, h('div', { role: 'tablist', 'aria-label': 'Language' }, ...this.tabs), copyButton(() => this.#code.textContent)), this.#code),
      this.#problem, h('div', { class: 'actions' }, this.#send, this.#note), this.#exchange.element);
    panels.push(this);
    whenReaderChanges(() => this.#fill());
  }

  #input(kind, name) {
    const input = h(kind, { id: this.id(name), class: 'mono', autocomplete: 'off', spellcheck: 'false' });
    input.addEventListener('input', () => {
      this.#edited.add(input);
      this.#problem.textContent = '';
      input.removeAttribute('aria-invalid');
      this.render();
    });
    return input;
  }

  /** Sets the fields that were not edited. */
  #fill() {
    for (const { name, input, required } of this.fields) {
      if (required && !this.#edited.has(input)) input.value = (idFor(name) ?? '').replace(NO_SESSION, '');
    }
    if (this.body && !this.#edited.has(this.body)) {
      this.body.value = typeof this.example === 'string' ? this.example : JSON.stringify(withIds(this.example), undefined, 2);
      this.body.rows = Math.min(14, this.body.value.split('\n').length);
    }
    const { roles, isPublic } = this.operation;
    this.#send.disabled = isDenied(this.operation);
    this.#note.textContent = this.#send.disabled ? `For the role ${roles.join(' or ')}. Yours is ${reader.role}.` : reader.needsToken && !reader.role && !isPublic ? 'Sign in first.' : '';
    this.render();
  }

  render() {
    for (const tab of this.tabs) {
      const isSelected = tab.textContent === language;
      tab.setAttribute('aria-selected', isSelected);
      tab.tabIndex = isSelected ? 0 : -1;
      if (isSelected) this.#code.setAttribute('aria-labelledby', tab.id);
    }
    // While the body is edited, its last valid text.
    if (this.body && !this.#bodyError()) this.validBody = this.body.value.trim();
    this.#code.textContent = LANGUAGES[language](this.#call(true));
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.tabs.at((this.tabs.indexOf(event.target) + step) % this.tabs.length);
    choose(next.textContent);
    next.focus();
  }

  #bodyError() {
    return this.body?.value.trim() && this.operation.bodyType === 'application/json' ? jsonError(this.body.value) : undefined;
  }

  /** The call with the values of the fields; an example has placeholders for the token and for what is missing. */
  #call(isExample) {
    const { operationId, method, path, bodyType, kind, isPublic } = this.operation;
    const fields = this.fields.map(({ name, input, required, in: place }) => ({
      name, place, value: input.value || (isExample && required ? idFor(name) ?? name.replace(/[A-Z]/g, '_$&').toUpperCase() : ''),
    })).filter(({ value }) => value);
    const at = (place) => fields.filter((field) => field.place === place);
    const query = at('query').map(({ name, value }) => `${name}=${encodeURIComponent(value)}`).join('&');
    const full = at('path').reduce((text, { name, value }) => text.replace(`{${name}}`, () => encodeURIComponent(value)), path) + (query && `?${query}`);
    const body = this.validBody || undefined;
    return {
      method: method.toUpperCase(), path: full, url: location.origin + full, body, bodyType, kind, isPublic,
      headers: [
        ...(isExample && reader.needsToken && !isPublic ? [['Authorization', 'Bearer TOKEN']] : []),
        ...at('header').map(({ name, value }) => [name, value]), ...(body ? [['Content-Type', bodyType]] : [])],
      file: kind === 'file' ? `${operationId}.${operationId.includes('Database') ? 'redb' : 'jsonl'}` : undefined,
    };
  }

  /** The first wrong field, what is wrong, and where. */
  #wrong() {
    for (const { name, input, required, in: place } of this.fields) {
      if (required && !input.value) return [input, `Enter ${name}.`];
      // Browsers resolve these segments: the call would have another path.
      if (place === 'path' && /^\.\.?$/.test(input.value)) return [input, `${name} must not be ${input.value}.`];
      if (place === 'header' && /[^ -~]/.test(input.value)) return [input, `${name} is a header: enter ASCII characters.`];
    }
    const error = this.#bodyError();
    return error ? [this.body, error.message, error.at] : [];
  }

  async #submit(event) {
    event.preventDefault();
    const [input, problem = '', at] = this.#wrong();
    this.#problem.textContent = problem;
    if (input) {
      input.setAttribute('aria-invalid', true);
      input.focus();
      if (at !== undefined) input.setSelectionRange(at, at);
      return;
    }
    const call = this.#call(false);
    if (call.method === 'GET' || (await confirmed(this.operation, call))) this.#exchange.send(call);
  }
}

/** Asks, naming what the call does. */
const confirmed = ({ summary, description, method }, { path }) => openForm({
  title: `${summary}?`,
  intro: prose(description),
  content: [h('p', { class: 'call' }, h('span', { class: `method ${method}` }, method), ' ', h('code', {}, path))],
  action: 'Send', danger: method === 'delete', submit: async () => true,
});
