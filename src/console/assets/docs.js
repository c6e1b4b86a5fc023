// The reference of the API, from /openapi.json: its contents, the filter, and links to operations.

import { token } from './api.js';
import { emptyState, h, setText } from './dom.js';
import { guides } from './guides.js';
import { readReader, reader, whenReaderChanges } from './reader.js';
import { Description, documentation, fold, prose, unfold } from './reference.js';
import { TryPanel } from './try.js';

const main = document.querySelector('#main');

/** Who the reader is, and what the examples use. */
function readerLine() {
  const text = h('p', { class: 'muted' });
  const signIn = h('a', { href: '/' }, 'Sign in');
  whenReaderChanges(() => {
    const { role, agents: [agent], session, needsToken } = reader;
    signIn.hidden = !needsToken || Boolean(role);
    text.replaceChildren(...[
      needsToken && (role ? `Your role is ${role}. ` : 'This server requires a token. '),
      ...(agent ? ['The examples use the agent ', h('bdi', {}, agent.name), session ? ' and your newest session' : '', needsToken ? ', and TOKEN in place of your token.' : '.'] : [])].filter(Boolean));
  });
  return h('div', { class: 'actions' }, text, signIn);
}

/** An operation, closed. */
function operationOf(description, operation) {
  const { operationId, method, path, summary, roles } = operation;
  return fold({ class: 'operation', id: operationId }, [
    h('span', { class: `method ${method}` }, method), h('h3', {}, summary), h('code', {}, path), roles && h('span', { class: 'chip' }, roles.length > 1 ? roles.join(' or ') : `${roles} only`),
  ], () => [documentation(description, operation), new TryPanel(operation).element]);
}

/** Hides what does not match. `entries` are `{ element, link, text }`, `groups` the elements around them. */
class Filter {
  #input = h('input', { type: 'search', id: 'filter', autocomplete: 'off', spellcheck: 'false' });
  #found = h('p', { class: 'muted', role: 'status' });
  #all = h('button', { type: 'button', onclick: () => this.#toggleAll() }, 'Expand all');

  constructor(entries, groups) {
    this.entries = entries;
    this.groups = groups;
    this.element = h('div', { class: 'filters' }, h('div', { class: 'field grow' }, h('label', { for: 'filter' }, 'Filter'), this.#input), this.#all, this.#found);
    this.#input.value = new URLSearchParams(location.search).get('filter') ?? '';
    this.#input.addEventListener('input', () => this.set(this.#input.value));
    this.#apply();
  }

  set(text) {
    this.#input.value = text;
    // Without the fragment, which could name an operation that is hidden now.
    history.replaceState(null, '', location.pathname + (text && `?${new URLSearchParams({ filter: text })}`));
    this.#apply();
  }

  #apply() {
    const terms = this.#input.value.toLowerCase().split(/\s+/);
    for (const { element, link, text } of this.entries) element.hidden = link.hidden = !terms.every((term) => text.includes(term));
    for (const group of this.groups) group.hidden = !group.querySelector('[data-entry]:not([hidden])');
    const count = this.entries.filter(({ element }) => !element.hidden).length;
    setText(this.#found, terms.join('') && (count ? `${count} of ${this.entries.length}` : 'Nothing matches.'));
    this.#label();
  }

  #shown() {
    return this.entries.map(({ element }) => element).filter(({ hidden, open }) => !hidden && open !== undefined);
  }

  #label() {
    setText(this.#all, this.#shown().some(({ open }) => !open) ? 'Expand all' : 'Collapse all');
  }

  #toggleAll() {
    const isExpanding = this.#all.textContent === 'Expand all';
    for (const element of this.#shown()) {
      if (isExpanding) unfold(element);
      else element.open = false;
    }
    this.#label();
  }
}

/** Opens what the fragment of the URL names. */
function follow(filter) {
  const { hash, pathname } = location;
  const target = document.getElementById(hash.slice(1));
  if (!target || !main.contains(target)) return;
  if (target.hidden) {
    filter.set('');
    history.replaceState(null, '', pathname + hash);
  }
  if (target.open === false) unfold(target);
  (target.querySelector('summary') ?? target).focus({ preventScroll: true });
  target.scrollIntoView();
}

/** Prints everything, and closes again what was closed. */
function expandForPrint() {
  let opened = [];
  addEventListener('beforeprint', () => {
    // What is opened may contain more.
    for (let closed; (closed = [...main.querySelectorAll('details:not([open])')]).length;) {
      closed.forEach(unfold);
      opened.push(...closed);
    }
  });
  addEventListener('afterprint', () => {
    for (const element of opened) element.open = false;
    opened = [];
  });
}

async function show() {
  token.whenChanged?.(readReader);
  readReader();
  const response = await fetch('/openapi.json');
  if (!response.ok) throw new Error(`The server responded with status ${response.status}.`);
  const description = new Description(await response.json());
  const { info, tags } = description.document;
  const entries = [];
  const groups = [];
  const contents = h('nav', { class: 'contents', 'aria-label': 'Contents' });
  /** Adds a group to the contents. */
  const add = (title, elements, names, texts) => {
    const links = elements.map((element, index) => {
      const link = h('li', {}, h('a', { href: `#${element.id}` }, names[index]));
      for (const part of [element, link]) part.dataset.entry = '';
      entries.push({ element, link, text: texts[index] });
      return link;
    });
    groups.push(h('div', {}, h('p', { class: 'muted' }, title), h('ul', {}, ...links)));
    contents.append(groups.at(-1));
  };
  const sections = tags.map(({ name, description: text }) => {
    const own = description.operations.filter((operation) => operation.tags.includes(name));
    const elements = own.map((operation) => operationOf(description, operation));
    const title = name[0].toUpperCase() + name.slice(1);
    add(title, elements, own.map(({ summary }) => summary), own.map((operation) => operation.text));
    return h('section', {}, h('h2', { class: 'group' }, title, h('span', { class: 'muted' }, text)), h('div', { class: 'card list' }, ...elements));
  });
  groups.push(...sections);
  const more = guides(description);
  add('Guides', more, more.map((element) => element.getAttribute('aria-label')), more.map(({ textContent }) => textContent.toLowerCase()));
  const filter = new Filter(entries, groups);
  main.replaceChildren(h('div', { class: 'docs' }, contents, h('div', { class: 'view' },
    h('div', {}, h('h1', {}, 'The API'), h('p', { class: 'summary' }, `${info.title} ${info.version}`),
      ...info.description.split('\n\n').map((text) => h('p', { class: 'lead' }, ...prose(text)))),
    readerLine(), filter.element, ...sections, ...more)));
  expandForPrint();
  addEventListener('hashchange', () => follow(filter));
  // A link to the present fragment changes nothing, but its target may have been closed.
  contents.addEventListener('click', ({ target }) => target.hash === location.hash && follow(filter));
  if (location.hash) follow(filter);
}

show().catch((error) => main.replaceChildren(emptyState('The reference cannot be shown', error.message)));
