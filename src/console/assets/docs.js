// The reference of the API, from /openapi.json: its contents, the filter, and links to operations.

import { client, token } from './api.js';
import { emptyState, h, setText } from './dom.js';
import { guides } from './guides.js';
import { readReader, reader, whenReaderChanges } from './reader.js';
import { code, documentation, methodOf, operationsOf, prose } from './reference.js';
import { TryPanel } from './try.js';

const main = document.querySelector('#main');

/** Who the reader is. */
function readerLine() {
  const line = h('p', { class: 'muted' });
  whenReaderChanges(() => {
    const { role, needsToken } = reader;
    line.hidden = !needsToken;
    line.replaceChildren(...(role ? [`Your role is ${role}.`] : ['This server requires a token. ', h('a', { href: '/' }, 'Sign in')]));
  });
  return line;
}

/** An operation, closed. */
function operationOf(operation) {
  const { operationId, method, path, summary, roles, text } = operation;
  const element = h('details', { class: 'operation', id: operationId },
    h('summary', {}, methodOf(method), h('h3', {}, summary), code(path), roles && h('span', { class: 'chip' }, roles.join(' or '))),
    h('div', { class: 'parts halves' }, documentation(operation), new TryPanel(operation).element));
  return { element, name: summary, text };
}

/** A part of the contents: a title, and its entries `{ element, name, text }`. */
function partOf(title, entries, section) {
  for (const entry of entries) entry.link = h('li', {}, h('a', { href: `#${entry.element.id}` }, entry.name));
  return { entries, section, links: h('div', {}, h('p', { class: 'muted' }, title), h('ul', {}, ...entries.map(({ link }) => link))) };
}

/** The operations of a tag. */
function tagged({ name, description }, operations) {
  const title = name[0].toUpperCase() + name.slice(1);
  const entries = operations.filter(({ tags }) => tags.includes(name)).map(operationOf);
  return partOf(title, entries, h('section', {},
    h('h2', {}, title), h('p', { class: 'lead muted' }, description), h('div', { class: 'card list' }, ...entries.map(({ element }) => element))));
}

const input = h('input', { type: 'search', id: 'filter', autocomplete: 'off', spellcheck: 'false', oninput: () => filter(input.value) });
const found = h('p', { class: 'muted', role: 'status' });
let parts = [];

/** Hides the entries that do not match. Without a fragment in the URL, which could name what is hidden now. */
function filter(text, fragment = '') {
  input.value = text;
  history.replaceState(null, '', location.pathname + (text && `?${new URLSearchParams({ filter: text })}`) + fragment);
  const terms = text.toLowerCase().split(/\s+/);
  const all = parts.flatMap(({ entries }) => entries);
  for (const { element, link, text: own } of all) element.hidden = link.hidden = !terms.every((term) => own.includes(term));
  for (const { entries, links, section = {} } of parts) links.hidden = section.hidden = entries.every(({ element }) => element.hidden);
  const count = all.filter(({ element }) => !element.hidden).length;
  setText(found, text.trim() && (count ? `${count} of ${all.length}` : 'Nothing matches.'));
}

/** Opens what the fragment of the URL names. */
function follow() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.matches('.operation, .guide')) return;
  if (target.hidden) filter('', location.hash);
  target.open = true;
  (target.querySelector(':scope > summary') ?? target).focus();
  target.scrollIntoView();
}

async function show() {
  token.whenChanged(readReader);
  readReader();
  const openapi = await client.request('GET', '/openapi.json', { accept: 'application/json' });
  const operations = operationsOf(openapi);
  const more = guides(operations);
  parts = [...openapi.tags.map((tag) => tagged(tag, operations)), partOf('Guides', more)];
  filter(new URLSearchParams(location.search).get('filter') ?? '', location.hash);
  const { title, version, description } = openapi.info;
  main.replaceChildren(h('div', { class: 'docs' },
    h('nav', { class: 'contents', 'aria-label': 'Contents' }, ...parts.map(({ links }) => links)),
    h('div', { class: 'view' },
      h('div', {}, h('h1', {}, 'The API'), h('p', { class: 'summary' }, `${title} ${version}`), ...description.split('\n\n').map((text) => h('p', { class: 'lead' }, ...prose(text)))),
      readerLine(),
      h('div', { class: 'filters' }, h('div', { class: 'field grow' }, h('label', { for: 'filter' }, 'Filter'), input), found),
      ...parts.map(({ section }) => section), ...more.map(({ element }) => element))));
  addEventListener('hashchange', follow);
  // A link to the present fragment changes nothing, but its target may have been closed.
  main.addEventListener('click', ({ target }) => target.hash === location.hash && follow());
  follow();
}

show().catch((error) => main.replaceChildren(emptyState('The reference cannot be shown', error.message)));
