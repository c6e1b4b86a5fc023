// Markdown, as DOM nodes and never as HTML. Hostile text costs linear time: depth, length and the number
// of elements are limited, and a text beyond the limits is shown as it is.

import { copyButton } from './copy.js';
import { h } from './dom.js';
import { inline } from './inline.js';

const MAX_LENGTH = 200_000;
const MAX_ELEMENTS = 6000;
const MAX_DEPTH = 8;
const MAX_COLUMNS = 60;
/** The level below which the headings of a text begin. */
const OUTER_LEVEL = 2;

const FENCE = /^(\s*)(`{3,}|~{3,})([^`]*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?=(\s+|$))/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]|$)/;
const QUOTE = /^ {0,3}> ?/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;

const isBlank = (line) => !line.trim();
const indentOf = (line) => line.length - line.trimStart().length;
const startsBlock = (line) => FENCE.test(line) || ITEM.test(line) || HEADING.test(line) || QUOTE.test(line) || RULE.test(line);

class TooMuch extends Error {}

class Budget {
  left = MAX_ELEMENTS;

  count() {
    this.left -= 1;
    if (this.left < 0) throw new TooMuch();
  }

  make(name, properties, ...children) {
    this.count();
    return h(name, properties, ...children);
  }
}

/** An element that shows Markdown. While a text grows, the blocks that stay the same keep their nodes. */
export class Markdown {
  blocks = [];

  constructor(element) {
    this.element = element;
  }

  show(text) {
    try {
      if (text.length > MAX_LENGTH) throw new TooMuch();
      this.update(text);
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error;
      this.blocks = [];
      this.element.replaceChildren(h('p', { class: 'plain', dir: 'auto' }, text));
    }
  }

  update(text) {
    const blocks = split(text.replace(/\r\n?/g, '\n').split('\n'));
    let same = 0;
    while (same < blocks.length && this.blocks[same]?.source === blocks[same].source) same += 1;
    const kept = this.blocks.slice(0, same);
    const last = kept.at(-1);
    const builder = new Builder(last?.levels, last?.left);
    const added = blocks.slice(same).map((block) => {
      const node = builder.build(block, 0);
      return { source: block.source, node, levels: [...builder.levels], left: builder.budget.left };
    });
    while (this.element.childNodes.length > same) this.element.lastChild.remove();
    this.element.append(...added.map(({ node }) => node));
    this.blocks = [...kept, ...added];
  }
}

/** Divides lines into blocks `{ kind, lines, source }`. */
function split(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const [kind, length] = blockAt(lines, at);
    const own = lines.slice(at, at + length);
    blocks.push({ kind, lines: own, source: `${kind}\n${own.join('\n')}` });
    at += length;
  }
  return blocks;
}

function blockAt(lines, at) {
  const line = lines[at];
  if (FENCE.test(line)) return ['fence', fenceLength(lines, at)];
  if (HEADING.test(line)) return ['heading', 1];
  if (RULE.test(line)) return ['rule', 1];
  if (QUOTE.test(line)) return ['quote', extent(lines, at, (next) => QUOTE.test(next) || !startsBlock(next))];
  if (ITEM.test(line)) return ['list', listLength(lines, at)];
  if (isTable(line, lines[at + 1])) return ['table', 1 + extent(lines, at + 1, (next) => !startsBlock(next))];
  let end = at + 1;
  for (; end < lines.length && !isBlank(lines[end]); end += 1) {
    if (/^ {0,3}(=+|-+)\s*$/.test(lines[end])) return ['underlined', end + 1 - at];
    if (startsBlock(lines[end]) || isTable(lines[end], lines[end + 1])) break;
  }
  return ['paragraph', end - at];
}

function extent(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && belongs(lines[end])) end += 1;
  return end - at;
}

function fenceLength(lines, at) {
  const [, , mark] = FENCE.exec(lines[at]);
  for (let end = at + 1; end < lines.length; end += 1) if (closes(lines[end], mark)) return end + 1 - at;
  return lines.length - at;
}

function closes(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && text[0] === mark[0] && text === mark[0].repeat(text.length);
}

/** A list reaches as far as lines are items of its kind, are indented, or continue a paragraph. */
function listLength(lines, at) {
  const first = ITEM.exec(lines[at]);
  const indent = first[1].length;
  let end = at + 1;
  for (let next = end; next < lines.length; next += 1) {
    const line = lines[next];
    if (isBlank(line)) continue;
    const isInside = indentOf(line) >= indent + 2;
    const item = ITEM.exec(line);
    const isSibling = item && kindOf(item[2]) === kindOf(first[2]) && !RULE.test(line);
    const isContinuation = next === end && !startsBlock(line);
    if (!isInside && !isSibling && !isContinuation) break;
    const fence = isInside && FENCE.test(line) ? fenceLength(lines, next) : 1;
    next += fence - 1;
    end = next + 1;
  }
  return end - at;
}

const kindOf = (mark) => mark.at(-1);

function itemsOf(lines) {
  const items = [];
  const outer = indentOf(lines[0]);
  let inner = 0;
  for (const line of lines) {
    const item = indentOf(line) < outer + 2 ? ITEM.exec(line) : undefined;
    if (item) {
      const spaces = item[3].length > 4 ? 1 : item[3].length;
      inner = item[0].length + spaces;
      items.push([line.slice(inner)]);
    } else items.at(-1).push(line.slice(Math.min(indentOf(line), inner)));
  }
  return items;
}

function isTable(head, rule) {
  if (rule === undefined || !head.includes('|') || !/^[\s|:-]+$/.test(rule) || !rule.includes('-')) return false;
  const marks = cellsOf(rule);
  return marks.every((mark) => /^:?-+:?$/.test(mark)) && marks.length === cellsOf(head).length && marks.length <= MAX_COLUMNS;
}

function cellsOf(line) {
  const text = line.trim();
  const cells = [];
  let start = text.startsWith('|') ? 1 : 0;
  for (let at = start; at <= text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '|' || (at >= text.length && start < text.length)) {
      cells.push(text.slice(start, at).trim().replaceAll('\\|', '|'));
      start = at + 1;
    }
  }
  return cells;
}

class Builder {
  budget = new Budget();

  /** Continues after a block: `levels` are the headings above, in order. */
  constructor(levels = [], left = MAX_ELEMENTS) {
    this.levels = [...levels];
    this.budget.left = left;
  }

  make(...element) {
    return this.budget.make(...element);
  }

  nested(lines, depth) {
    if (depth >= MAX_DEPTH) return [this.make('p', { dir: 'auto' }, lines.join('\n'))];
    return split(lines).map((block) => this.build(block, depth));
  }

  build({ kind, lines }, depth) {
    if (kind === 'fence') return this.fence(lines);
    if (kind === 'heading') return this.heading(HEADING.exec(lines[0])[1].length, unmarked(lines[0]));
    if (kind === 'underlined') return this.heading(lines.at(-1).trim()[0] === '=' ? 1 : 2, lines.slice(0, -1).join('\n'));
    if (kind === 'rule') return this.make('hr');
    if (kind === 'quote') return this.make('blockquote', { dir: 'auto' }, ...this.nested(lines.map((line) => line.replace(QUOTE, '')), depth + 1));
    if (kind === 'list') return this.list(lines, depth);
    if (kind === 'table') return this.table(lines);
    return this.make('p', { dir: 'auto' }, ...inline(lines.map((line) => line.trimStart()).join('\n').trimEnd(), this.budget));
  }

  /** A heading whose level follows the one above without a gap. */
  heading(level, text) {
    while (this.levels.at(-1) >= level) this.levels.pop();
    this.levels.push(level);
    const shown = OUTER_LEVEL + this.levels.length;
    return this.make('p', { class: `heading h${level}`, role: 'heading', 'aria-level': shown, dir: 'auto' }, ...inline(text.trim(), this.budget));
  }

  list(lines, depth) {
    const first = ITEM.exec(lines[0])[2];
    const isOrdered = first.length > 1;
    const start = isOrdered ? parseInt(first, 10) : 1;
    const items = itemsOf(lines).map((item) => this.make('li', { dir: 'auto' }, ...this.nested(item, depth + 1)));
    return this.make(isOrdered ? 'ol' : 'ul', { dir: 'auto', start: start === 1 ? undefined : start }, ...items);
  }

  table([head, rule, ...rows]) {
    const sides = cellsOf(rule).map((mark) => (mark.endsWith(':') ? (mark.startsWith(':') ? 'center' : 'end') : undefined));
    const row = (name, line) => this.make('tr', {}, ...cellsOf(line).slice(0, sides.length).map((text, index) =>
      this.make(name, { class: sides[index], dir: 'auto' }, ...inline(text, this.budget))));
    const table = this.make('table', {}, h('thead', {}, row('th', head)), h('tbody', {}, rows.map((line) => row('td', line))));
    return h('div', { class: 'table-box', role: 'group', tabindex: '0', 'aria-label': 'Table' }, table);
  }

  fence(lines) {
    const [, indent, mark, info] = FENCE.exec(lines[0]);
    const isClosed = lines.length > 1 && closes(lines.at(-1), mark);
    const code = lines.slice(1, isClosed ? -1 : undefined)
      .map((line) => line.slice(Math.min(indentOf(line), indent.length))).join('\n');
    const language = info.trim().split(/\s/)[0].slice(0, 40);
    return this.make('div', { class: 'code' },
      h('div', { class: 'code-head' }, h('span', { class: 'muted' }, language || 'Code'), copyButton(() => code)),
      h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Code' }, h('code', {}, code)));
  }
}

/** The text of a line that begins with number signs. */
function unmarked(line) {
  const text = line.trim().replace(/^#+/, '').trim();
  const end = text.length - /#*$/.exec(text.slice(-20))[0].length;
  return end === 0 || /\s/.test(text[end - 1]) ? text.slice(0, end) : text;
}
