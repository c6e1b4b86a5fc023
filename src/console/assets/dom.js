// Creates elements. Text of the server becomes a text node, never HTML.

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
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

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

/** Downloads text as a file. */
export const download = (name, text, type) => saveFile(name, new Blob([text], { type }));

/** Downloads a blob as a file. */
export function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
