// Inline Markdown, as DOM nodes and in linear time: every character is read once, and open brackets and
// emphases are limited in number.

import { h } from './dom.js';

/** The number of brackets and emphases that can be open at once. */
const MAX_OPEN = 48;
const MAX_URL = 2000;
/** The number of characters that failed links may cost. */
const MAX_WASTE = 100_000;

const SCHEMES = new Set(['http:', 'https:', 'mailto:']);
const SPECIAL = /[\\`*_~[\]!<\n]|https?:\/\//g;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const BARE_URL = /https?:\/\/[^\s<>"`]{1,2000}/y;
const ANGLE_URL = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const isSpace = (char) => char === undefined || /\s/.test(char);
const isWord = (char) => char !== undefined && /[\p{L}\p{N}_]/u.test(char);

/** The address as the browser reads it if it may be linked to, or undefined. */
export function safeUrl(text) {
  if (text.length > MAX_URL) return undefined;
  try {
    const url = new URL(text);
    return SCHEMES.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

export const link = (url, ...children) => h('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, ...children);

/** The nodes of a text. `budget.make` creates an element, or throws if there are too many. */
export function inline(text, budget) {
  return new Inline(text, budget).read();
}

class Inline {
  at = 0;
  waste = MAX_WASTE;
  /** What is open, in order: `{ mark, size, children }`. */
  open = [{ mark: '', size: 0, children: [] }];

  constructor(text, budget) {
    this.text = text;
    this.budget = budget;
  }

  read() {
    const { text } = this;
    for (;;) {
      SPECIAL.lastIndex = this.at;
      const found = SPECIAL.exec(text);
      const end = found ? found.index : text.length;
      this.say(text.slice(this.at, end));
      this.at = end;
      if (!found) break;
      this.special(text[end]);
    }
    while (this.open.length > 1) this.abandon();
    return this.open[0].children;
  }

  say(text) {
    if (text) add(this.open.at(-1).children, text);
  }

  put(node) {
    this.open.at(-1).children.push(node);
  }

  special(char) {
    if (char === '\\') this.escape();
    else if (char === '`') this.code();
    else if (char === '\n') this.newline();
    else if (char === '[' || (char === '!' && this.text[this.at + 1] === '[')) this.openBracket(char);
    else if (char === ']') this.closeBracket();
    else if (char === '<') this.address(ANGLE_URL) || this.literal(1);
    else if (char === 'h') this.bareUrl() || this.literal(4);
    else if (char === '!') this.literal(1);
    else this.emphasis(char);
  }

  literal(length) {
    this.say(this.text.slice(this.at, this.at + length));
    this.at += length;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === '\n') {
      this.put(this.budget.make('br'));
      this.at += 2;
    } else if (next && ESCAPABLE.test(next)) {
      this.say(next);
      this.at += 2;
    } else this.literal(1);
  }

  newline() {
    const { children } = this.open.at(-1);
    const isHard = this.text.slice(Math.max(0, this.at - 2), this.at) === '  ';
    if (isHard && typeof children.at(-1) === 'string') {
      children.push(children.pop().trimEnd());
      this.put(this.budget.make('br'));
    } else this.say('\n');
    this.at += 1;
  }

  code() {
    const { text } = this;
    const length = run(text, this.at);
    const start = this.at + length;
    const end = this.closingBackticks(length, start);
    if (end === undefined) {
      this.literal(length);
      return;
    }
    let code = text.slice(start, end).replaceAll('\n', ' ');
    if (code.startsWith(' ') && code.endsWith(' ') && code.trim()) code = code.slice(1, -1);
    this.put(this.budget.make('code', {}, code));
    this.at = end + length;
  }

  /** The next run of so many backticks. All runs are listed once. */
  closingBackticks(length, from) {
    if (!this.backticks) {
      this.backticks = new Map();
      for (const { 0: { length: size }, index } of this.text.matchAll(/`+/g)) {
        if (!this.backticks.has(size)) this.backticks.set(size, { runs: [], next: 0 });
        this.backticks.get(size).runs.push(index);
      }
    }
    const known = this.backticks.get(length);
    if (!known) return undefined;
    while (known.runs[known.next] < from) known.next += 1;
    return known.runs[known.next];
  }

  openBracket(char) {
    const mark = char === '!' ? '![' : '[';
    this.at += mark.length;
    if (this.open.length >= MAX_OPEN) this.say(mark);
    else this.open.push({ mark, size: 1, children: [] });
  }

  closeBracket() {
    this.at += 1;
    const index = this.open.findLastIndex(({ mark }) => mark.endsWith('['));
    if (index < 0) {
      this.say(']');
      return;
    }
    while (this.open.length - 1 > index) this.abandon();
    const target = this.text[this.at] === '(' ? this.target() : undefined;
    if (!target) {
      this.abandon();
      this.say(']');
      return;
    }
    const { mark, children, hasLink } = this.open.pop();
    this.at = target.end;
    const label = mark === '![' ? [children.map((child) => child.textContent ?? child).join('') || 'Image'] : children;
    if (hasLink) children.forEach((child) => add(this.open.at(-1).children, child));
    else this.putLink(target.url, label.length ? label : [target.url]);
  }

  putLink(url, label) {
    this.budget.count();
    this.put(link(url, ...label));
    for (const frame of this.open) frame.hasLink = true;
  }

  /** The `(address "title")` at the current position, if links may lead there. */
  target() {
    if (this.waste <= 0) return undefined;
    const { text } = this;
    let at = this.at + 1;
    let depth = 0;
    const limit = Math.min(text.length, at + MAX_URL);
    for (; at < limit && !/\s/.test(text[at]); at += 1) {
      if (text[at] === '(') depth += 1;
      else if (text[at] === ')' && (depth -= 1) < 0) break;
    }
    const address = text.slice(this.at + 1, at).replace(/^<(.*)>$/, '$1');
    const title = /^\s+(?:"[^"\n]{0,500}"|'[^'\n]{0,500}')?\s*/.exec(text.slice(at, at + 600));
    const end = at + (title ? title[0].length : 0);
    const url = text[end] === ')' ? safeUrl(address) : undefined;
    if (url) return { url, end: end + 1 };
    this.waste -= end - this.at;
    return undefined;
  }

  bareUrl() {
    const isInLabel = this.open.some(({ mark }) => mark === '[' || mark === '![');
    return !isInLabel && !isWord(this.text[this.at - 1]) && this.address(BARE_URL);
  }

  address(pattern) {
    pattern.lastIndex = this.at;
    const [whole, inner] = pattern.exec(this.text) ?? [];
    if (!whole) return false;
    const shown = inner ?? withoutPunctuation(whole);
    const url = safeUrl(shown);
    if (!url) return false;
    this.putLink(url, [shown.replace(/^mailto:/, '')]);
    this.at += inner ? whole.length : shown.length;
    return true;
  }

  emphasis(char) {
    const { text } = this;
    const start = this.at;
    const length = run(text, start);
    this.at += length;
    const [before, after] = [text[start - 1], text[this.at]];
    const isInWord = char === '_' && isWord(before) && isWord(after);
    const isMark = char === '~' ? length === 2 : length <= 3;
    let left = length;
    if (isMark && !isInWord && !isSpace(before)) left = this.closeEmphasis(char, length);
    const canOpen = left && isMark && !isInWord && !isSpace(after) && this.open.length < MAX_OPEN;
    if (canOpen) this.open.push({ mark: char, size: left, children: [] });
    else this.say(char.repeat(left));
  }

  /** Closes emphases with a run of marks. Returns how many marks are left. */
  closeEmphasis(char, length) {
    let left = length;
    while (left) {
      const index = this.open.findLastIndex(({ mark }) => mark === char || mark.endsWith('['));
      if (index < 0 || this.open[index].mark !== char) break;
      while (this.open.length - 1 > index) this.abandon();
      const frame = this.open.at(-1);
      const used = Math.min(2, left, frame.size);
      const name = char === '~' ? 'del' : used === 2 ? 'strong' : 'em';
      frame.children = [this.budget.make(name, {}, ...frame.children)];
      frame.size -= used;
      left -= used;
      if (frame.size === 0) this.leave(this.open.pop());
    }
    return left;
  }

  /** Turns what was opened last into text. */
  abandon() {
    const frame = this.open.pop();
    this.say(frame.mark.endsWith('[') ? frame.mark : frame.mark.repeat(frame.size));
    this.leave(frame);
  }

  leave({ children }) {
    const outer = this.open.at(-1).children;
    for (const child of children) add(outer, child);
  }
}

function add(children, child) {
  if (typeof child === 'string' && typeof children.at(-1) === 'string') children[children.length - 1] += child;
  else children.push(child);
}

function run(text, from) {
  let end = from;
  while (text[end] === text[from]) end += 1;
  return end - from;
}

/** Leaves off what more likely belongs to the sentence than to the address. */
function withoutPunctuation(url) {
  let end = url.length;
  let surplus = url.split(')').length - url.split('(').length;
  for (; end > 0; end -= 1) {
    const last = url[end - 1];
    if (last === ')' && surplus > 0) surplus -= 1;
    else if (!/[.,:;!?'*_~\]]/.test(last)) break;
  }
  return url.slice(0, end);
}
