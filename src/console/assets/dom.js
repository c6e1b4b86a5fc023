// Elements without markup: whatever text comes from the server becomes a text node, never HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element: `h('p', { class: 'x', onclick }, 'text', child)`. */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for a drawing. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Sets an element's text where it has changed, so that nothing is repainted for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a word to everybody, readers of the screen included, for a while. */
export function notify(text, kind = 'plain') {
  const notice = h('p', { class: `notice ${kind}` }, text);
  document.querySelector('#notices').append(notice);
  setTimeout(() => notice.remove(), 6000);
}

/** What is shown where there is nothing else to show. */
export function emptyState(title, text, ...actions) {
  return h('section', { class: 'empty' }, h('h2', {}, title), h('p', {}, text), ...actions);
}

/** Saves text as a file of the user's. */
export function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
