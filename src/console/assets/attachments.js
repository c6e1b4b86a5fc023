// Attachments of messages. Only images that are in the message itself are shown: the page loads nothing
// from other hosts.

import { h } from './dom.js';
import { link, safeUrl } from './inline.js';

const MAX_SHOWN = 20;
const IMAGE = /^data:image\/(?:png|jpeg|gif|webp|avif|bmp)[;,]/i;
const IMAGE_PATH = /\.(?:png|jpe?g|gif|webp|avif|bmp|svg)$/i;

/** The attachments of a message, or undefined if there are none. */
export function attachmentList(attachments) {
  if (!Array.isArray(attachments) || !attachments.length) return undefined;
  const items = attachments.slice(0, MAX_SHOWN).map((attachment) => h('li', {}, item(attachment ?? {})));
  return h('ul', { class: 'attachments', 'aria-label': 'Attachments' }, ...items);
}

function item({ type, url, name, title, description }) {
  const address = String(url ?? '');
  const label = textOf(name) ?? textOf(title) ?? textOf(description);
  if (IMAGE.test(address)) return picture(address, label ?? 'Image');
  const target = safeUrl(address);
  const kind = isImage(type, target) ? 'Image' : textOf(type) ?? 'File';
  const shown = label ?? (address.length > 120 ? `${address.slice(0, 120)}…` : address);
  return h('p', { class: 'attachment', dir: 'auto' }, h('span', { class: 'muted' }, `${kind}: `), target ? link(target, shown) : h('span', { class: 'mono' }, shown));
}

function picture(address, label) {
  const image = h('img', { class: 'thumbnail', src: address, alt: label, loading: 'lazy', decoding: 'async' });
  const save = h('a', { href: address, download: label }, 'Download');
  return h('div', {}, image, save);
}

const textOf = (value) => (typeof value === 'string' && value.trim() ? value.slice(0, 200) : undefined);

function isImage(type, target) {
  return /^image\b/i.test(String(type)) || (target !== undefined && IMAGE_PATH.test(new URL(target).pathname));
}
