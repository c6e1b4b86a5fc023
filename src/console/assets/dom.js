// Creates elements. Text of the server becomes a text node, never HTML.

import { fullTime } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';

/** Creates an element: `h('p', { class: 'x', onclick }, 'text', child)`. */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** Creates an SVG element. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if ((value ?? false) === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => (child ?? false) !== false));
  return element;
}

/** A button that calls `act` with its event. */
export const button = (text, act, kind) => h('button', { type: 'button', class: kind, onclick: act }, text);

/** Does something that may fail. A notice says why, and the result is then undefined. */
export async function attempt(act) {
  try {
    return await act();
  } catch ({ name, status, message }) {
    if (name !== 'AbortError') notify(status === undefined ? 'This was interrupted. Try again.' : message, 'bad');
    return undefined;
  }
}

/** A button of an action that takes a while, and may fail. */
export function slowButton(text, act, properties) {
  const made = h('button', { type: 'button', ...properties, onclick: async () => {
    made.disabled = true;
    await attempt(act);
    made.disabled = false;
    // A disabled button loses the focus.
    if (document.activeElement === document.body) made.focus();
  } }, text);
  return made;
}

/** A section of a page with its heading, by which screen readers list it. */
export const card = (title, ...content) => h('section', { class: 'card', 'aria-label': title }, h('h2', {}, title), ...content);

/** Terms and what they stand for, as the children of a `dl`. */
export const terms = (pairs) => pairs.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)));

/** A box that scrolls, also with the keyboard. */
export const scrolling = (label, content) => h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': label }, content);

/** The elements of a table that scrolls in a box: the box, and the body for its rows. */
export function table(label, columns, kind) {
  const body = h('tbody');
  const names = columns.map((name) => h('th', { scope: 'col' }, name));
  return [scrolling(label, h('table', { class: kind }, h('thead', {}, h('tr', {}, names)), body)), body];
}

/** A time and its words. In full, it appears under the pointer. */
export const timeElement = (at, words, kind) => h('time', { datetime: at, title: fullTime(at), class: kind }, words);

/** Sets an element's text if it has changed, which avoids repainting. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a notice for a while. Screen readers announce it. */
export function notify(text, kind = 'plain') {
  const notice = h('p', { class: `notice ${kind}` }, text);
  document.querySelector('#notices').append(notice);
  setTimeout(() => notice.remove(), 6000);
}

/** A placeholder for missing content. */
export function emptyState(title, text, ...actions) {
  return h('section', { class: 'empty' }, h('h2', {}, title), h('p', {}, text), ...actions);
}

/** Downloads a blob as a file. */
export function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
