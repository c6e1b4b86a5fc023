// Texts from clients on one line, and the places where a search matches them.

import { h } from './dom.js';

/** Embeddings and overrides could reverse the text around them. */
const BIDI_CONTROLS = /[\u202a-\u202e\u2066-\u2069]/g;
const NOT_A_START = /[\p{M}\u200d\udc00-\udfff]/u;

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

/** Lower case as the server compares it, with the offset in the text of each of its characters. */
function fold(text) {
  let folded = '';
  let at = 0;
  const offsets = [];
  for (const character of text) {
    const lower = character === 'ς' ? 'σ' : character.toLowerCase();
    for (let index = 0; index < lower.length; index += 1) offsets.push(at);
    folded += lower;
    at += character.length;
  }
  offsets.push(at);
  return { folded, offsets };
}

/** The ranges of a text that match. */
export function ranges(text, searched) {
  const found = [];
  const { folded, offsets } = fold(text);
  const wanted = fold(searched).folded;
  for (let start = folded.indexOf(wanted); wanted && start >= 0;) {
    let end = start + wanted.length;
    // A character may have several in lower case.
    while (end < folded.length && offsets[end] === offsets[end - 1]) end += 1;
    found.push([offsets[start], offsets[end]]);
    start = folded.indexOf(wanted, end);
  }
  return found;
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
  let from = Math.max(0, start - before);
  if (from > 0) {
    const space = text.slice(from, start).search(/\s/);
    if (space >= 0 && space < before / 2) from += space + 1;
    while (from < start && NOT_A_START.test(text[from])) from += 1;
  }
  let to = Math.min(text.length, Math.max(from + length, end));
  while (to < text.length && NOT_A_START.test(text[to])) to += 1;
  return [from > 0 && '…', ...marked(text, searched, from, to), to < text.length && '…'].filter(Boolean);
}
