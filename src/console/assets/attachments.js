// Attachments of messages. Only images that are in the message itself are shown: the page loads nothing
// from other hosts.

import { h } from './dom.js';
import { leadingTo, safeUrl } from './inline.js';
import { oneLine } from './text.js';

const MAX_SHOWN = 20;
const IMAGE = /^data:image\/(?:png|jpeg|gif|webp|avif|bmp)[;,]/i;

/** The attachments of a message, or undefined if there are none. */
export function attachmentList(attachments) {
  if (!Array.isArray(attachments) || !attachments.length) return undefined;
  const items = attachments.slice(0, MAX_SHOWN).map((attachment) => h('li', { dir: 'auto' }, item(attachment ?? {})));
  return h('ul', { class: 'attachments', 'aria-label': 'Attachments' }, ...items);
}

function item({ type, url, name, title, description }) {
  const address = String(url ?? '');
  const label = [name, title, description, address].find((text) => typeof text === 'string' && text.trim());
  const shown = oneLine(label ?? '');
  if (IMAGE.test(address)) {
    const alt = label === address ? 'Image' : shown;
    return [h('img', { class: 'thumbnail', src: address, alt, loading: 'lazy', decoding: 'async' }), h('a', { href: address, download: alt }, 'Download')];
  }
  const target = safeUrl(address);
  const kind = /^image\b/i.test(type) ? 'Image' : oneLine(String(type ?? 'file'));
  return [h('span', { class: 'muted' }, `${kind}: `), target ? h('a', leadingTo(target), shown) : h('span', { class: 'mono' }, shown)];
}
