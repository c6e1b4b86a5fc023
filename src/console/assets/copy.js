// Copies text, also where a page without HTTPS has no clipboard API.

import { h, notify } from './dom.js';

export async function copy(text) {
  try {
    await (navigator.clipboard ? navigator.clipboard.writeText(text) : copySelected(text));
    notify('Copied', 'good');
  } catch {
    notify('The browser does not allow copying. Select the text instead.', 'warn');
  }
}

function copySelected(text) {
  const focused = document.activeElement;
  const area = h('textarea', { class: 'hidden', readonly: true, 'aria-hidden': 'true', tabindex: '-1' });
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  if (!isCopied) throw new Error('The browser refused.');
}

/** A button that copies what `text` returns when it is pressed. */
export const copyButton = (text) => h('button', { type: 'button', class: 'quiet', onclick: () => copy(text()) }, 'Copy');
