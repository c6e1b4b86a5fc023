// Texts from clients on one line, and the places where a search matches them.

import { h } from './dom.js';

/** Embeddings and overrides could reverse the text around them. */
const BIDI_CONTROLS = /[\u202a-\u202e\u2066-\u2069]/g;
const CHARACTER_START = /^[\p{M}\u200d\udc00-\udfff]*/u;
const WORD_START = /^(?:\S{0,20}\s)?[\p{M}\u200d\udc00-\udfff]*/u;

/** The text without line breaks and control characters, cut at `limit` characters. */
export function oneLine(text, limit = 200) {
  const line = text.slice(0, limit * 4).replace(BIDI_CONTROLS, '').replace(/[\s\p{Cc}]+/gu, ' ');
  const characters = [...line];
  return characters.length > limit ? `${characters.slice(0, limit).join('')}…` : line;
}

/** The title of a session in its metadata, or ''. */
export function titleOf({ metadata }) {
  return typeof metadata.title === 'string' ? oneLine(metadata.title).trim() : '';
}

/** The ranges of a text that match, without regard to case. */
export function ranges(text, searched) {
  if (!searched) return [];
  const pattern = new RegExp(searched.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'giu');
  return [...text.matchAll(pattern)].map(({ index, 0: { length } }) => [index, index + length]);
}

/** The nodes of a text, or of its part between two offsets, with the matches marked. */
export function marked(text, searched, from = 0, to = text.length) {
  const nodes = [];
  let at = from;
  for (const [start, end] of ranges(text, searched)) {
    if (start < from || start >= to) continue;
    nodes.push(oneLine(text.slice(at, start), text.length), h('mark', {}, oneLine(text.slice(start, end), text.length)));
    at = end;
  }
  if (at < to) nodes.push(oneLine(text.slice(at, to), text.length));
  return nodes;
}

/** The nodes of the part of a text around the first match. */
export function snippet(text, searched, { before = 60, length = 220 } = {}) {
  const [start, end] = ranges(text, searched)[0] ?? [0, 0];
  // The part begins and ends between characters, and begins with a word if one begins soon.
  const skip = (at, pattern) => at + pattern.exec(text.slice(at))[0].length;
  const from = start > before ? skip(start - before, WORD_START) : 0;
  const to = skip(Math.max(from + length, end), CHARACTER_START);
  return [from > 0 && '…', ...marked(text, searched, from, to), to < text.length && '…'].filter(Boolean);
}
