// Markdown, as DOM nodes and never as HTML. Hostile text costs linear time: depth, length and the number
// of elements are limited, and a text beyond the limits is shown as it is.

import { copyButton } from './copy.js';
import { h } from './dom.js';
import { inline } from './inline.js';

const MAX_LENGTH = 200_000;
const MAX_ELEMENTS = 6000;
const MAX_DEPTH = 8;
/** The level below which the headings of a text begin. */
const OUTER_LEVEL = 2;

/** How the first line of a block begins; another line begins a paragraph. */
const KINDS = {
  fence: /^\s*(`{3,}|~{3,})([^`]*)$/,
  heading: /^ {0,3}(#{1,6})(?:\s|$)/,
  rule: /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/,
  quote: /^ {0,3}> ?/,
  list: /^\s*([-*+]|\d{1,9}[.)])(?:\s+|$)/,
  table: /^\s*\|/,
};

/** A line that makes a heading of the paragraph above it. */
const UNDERLINE = /^ {0,3}(=+|--+)\s*$/;

const kindOf = (line) => Object.keys(KINDS).find((kind) => KINDS[kind].test(line)) ?? 'paragraph';
const indentOf = (line) => line.length - line.trimStart().length;
const closes = (line, fence) => line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], '');

/** An element that shows Markdown. While a text grows, the blocks that stay the same keep their nodes. */
export class Markdown {
  blocks = [];

  constructor(element) {
    this.element = element;
  }

  show(text) {
    try {
      if (text.length > MAX_LENGTH) throw new RangeError('The text is too long.');
      this.update(split(text.split(/\r\n?|\n/)));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.blocks = [];
      this.element.replaceChildren(h('p', { class: 'plain', dir: 'auto' }, text));
    }
  }

  update(parts) {
    const sources = parts.map((lines) => lines.join('\n'));
    let same = 0;
    while (same < parts.length && this.blocks[same]?.source === sources[same]) same += 1;
    const kept = this.blocks.slice(0, same);
    const builder = new Builder(kept.at(-1));
    const added = parts.slice(same).map((lines, index) => ({ source: sources[same + index], node: builder.build(lines), ...builder.state }));
    while (this.element.childNodes.length > same) this.element.lastChild.remove();
    this.element.append(...added.map(({ node }) => node));
    this.blocks = [...kept, ...added];
  }
}

/** The blocks of lines, each with its lines. */
function split(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    const end = lines[at].trim() ? endOf(lines, at) : at + 1;
    if (lines[at].trim()) blocks.push(lines.slice(at, end));
    at = end;
  }
  return blocks;
}

function endOf(lines, at) {
  const kind = kindOf(lines[at]);
  if (kind === 'heading' || kind === 'rule') return at + 1;
  if (kind === 'list') return endOfList(lines, at);
  let end = at + 1;
  if (kind === 'fence') {
    const [, fence] = KINDS.fence.exec(lines[at]);
    while (end < lines.length && !closes(lines[end], fence)) end += 1;
    return end + 1;
  }
  for (; lines[end]?.trim(); end += 1) {
    if (kind === 'paragraph' && UNDERLINE.test(lines[end])) return end + 1;
    if (![kind, 'paragraph'].includes(kindOf(lines[end]))) break;
  }
  return end;
}

/** A list reaches as far as lines are items of its kind, are indented, or continue a paragraph. */
function endOfList(lines, at) {
  const sign = (line) => KINDS.list.exec(line)[1].at(-1);
  let end = at + 1;
  for (let next = end; next < lines.length; next += 1) {
    const line = lines[next];
    if (!line.trim()) continue;
    const kind = kindOf(line);
    const isSibling = kind === 'list' && sign(line) === sign(lines[at]);
    const isContinuation = kind === 'paragraph' && next === end;
    if (!isSibling && !isContinuation && indentOf(line) < indentOf(lines[at]) + 2) break;
    end = next + 1;
  }
  return end;
}

/** The lines of each item of a list, without their indentation. */
function itemsOf(lines) {
  const items = [];
  const outer = indentOf(lines[0]);
  let inner = 0;
  for (const line of lines) {
    const item = indentOf(line) < outer + 2 && KINDS.list.exec(line);
    if (item) {
      inner = item[0].length;
      items.push([line.slice(inner)]);
    } else items.at(-1).push(line.slice(Math.min(indentOf(line), inner)));
  }
  return items;
}

const cellsOf = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));

class Builder {
  /** Continues after a block: `levels` are the headings above, in order, and `left` elements may still be made. */
  constructor({ levels = [], left = MAX_ELEMENTS } = {}) {
    this.state = { levels, left };
  }

  make = (name, properties, ...children) => {
    this.state.left -= 1;
    if (this.state.left < 0) throw new RangeError('The text has too many elements.');
    return h(name, properties, ...children);
  };

  /** An element that has the direction of its text. */
  block(name, children, properties) {
    return this.make(name, { dir: 'auto', ...properties }, ...children);
  }

  build(lines, depth = 0) {
    return this[kindOf(lines[0])](lines, depth);
  }

  nested(lines, depth) {
    if (depth >= MAX_DEPTH) return [this.block('p', [lines.join('\n')])];
    return split(lines).map((block) => this.build(block, depth + 1));
  }

  words(text) {
    return inline(text.trim(), this.make);
  }

  /** A paragraph, unless its second line makes it a table, or its last line a heading. */
  paragraph(lines) {
    const [, underline] = (lines.length > 1 && UNDERLINE.exec(lines.at(-1))) || [];
    if (underline) return this.title(lines.slice(0, -1).join('\n'), underline[0] === '=' ? 1 : 2);
    return this.tableOf(lines) ?? this.block('p', this.words(lines.join('\n')));
  }

  heading([line]) {
    const { length } = KINDS.heading.exec(line)[1];
    return this.title(line.trim().slice(length).replace(/\s#+\s*$/, ''), length);
  }

  /** A heading whose level follows the one above without a gap. */
  title(text, size) {
    const levels = [...this.state.levels.filter((level) => level < size), size];
    this.state.levels = levels;
    return this.block('p', this.words(text), { class: `heading h${size}`, role: 'heading', 'aria-level': OUTER_LEVEL + levels.length });
  }

  rule() {
    return this.make('hr');
  }

  quote(lines, depth) {
    return this.block('blockquote', this.nested(lines.map((line) => line.replace(KINDS.quote, '')), depth));
  }

  list(lines, depth) {
    const start = parseInt(lines[0], 10);
    const items = itemsOf(lines).map((item) => this.block('li', this.nested(item, depth)));
    return Number.isNaN(start) ? this.block('ul', items) : this.block('ol', items, { start });
  }

  table(lines) {
    return this.paragraph(lines);
  }

  tableOf(lines) {
    if (!lines[1]?.includes('|')) return undefined;
    const [head, rule, ...rows] = lines.map(cellsOf);
    if (!rule.every((mark) => /^:?-+:?$/.test(mark)) || rule.length !== head.length) return undefined;
    const sides = rule.map((mark) => mark.endsWith(':') && (mark.startsWith(':') ? 'center' : 'end'));
    const row = (name, cells) => this.make('tr', {}, ...cells.slice(0, sides.length).map((text, index) => this.block(name, this.words(text), { class: sides[index] })));
    const table = this.make('table', {}, h('thead', {}, row('th', head)), h('tbody', {}, rows.map((cells) => row('td', cells))));
    return h('div', { class: 'table-box', role: 'group', tabindex: '0', 'aria-label': 'Table' }, table);
  }

  fence(lines) {
    const [, fence, info] = KINDS.fence.exec(lines[0]);
    const isClosed = lines.length > 1 && closes(lines.at(-1), fence);
    const indent = indentOf(lines[0]);
    const code = lines.slice(1, isClosed ? -1 : undefined).map((line) => line.slice(Math.min(indentOf(line), indent))).join('\n');
    return this.make('div', { class: 'code' },
      h('div', { class: 'code-head' }, h('span', { class: 'muted' }, info.trim().split(/\s/)[0].slice(0, 40) || 'Code'), copyButton(() => code)),
      h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Code' }, h('code', {}, code)));
  }
}
