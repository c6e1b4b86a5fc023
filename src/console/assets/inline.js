// Inline Markdown, as DOM nodes and in linear time: each pattern ends where the next of its kind could begin,
// and few emphases can be open at once.

/** The number of emphases that can be open at once. */
const MAX_OPEN = 48;
const MAX_URL = 2000;

const SCHEMES = new Set(['http:', 'https:', 'mailto:']);
const EMPHASES = { '*': 'em', _: 'em', '**': 'strong', __: 'strong', '~~': 'del' };
const TOKEN = new RegExp([
  /\\(?<escaped>[!-/:-@[-`{-~\n])/,
  /(?<ticks>`+)/,
  /(?<marks>\*+|_+|~~)/,
  /!?\[(?<label>(?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(<?(?<target>(?:[^\s()<>]|\([^\s()<>]*\))*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/,
  /<(?<angle>(?:https?:\/\/|mailto:)[^\s<>]+)>/,
  // What more likely belongs to the sentence than to the address is left off.
  /(?<![\p{L}\p{N}_])(?<bare>https?:\/\/(?:[^\s<>"`()]|\([^\s<>"`()]*\))+(?<![.,:;!?'*_~\]]))/,
].map(({ source }) => source).join('|'), 'gu');
const isSpace = (char) => !char?.trim();
const isWord = (char) => /[\p{L}\p{N}_]/u.test(char ?? '');

/** The address as the browser reads it if it may be linked to, or undefined. */
export function safeUrl(text) {
  const url = text.length <= MAX_URL && URL.canParse(text) ? new URL(text) : undefined;
  return SCHEMES.has(url?.protocol) ? url.href : undefined;
}

/** The properties of a link to another site. */
export const leadingTo = (url) => ({ href: url, target: '_blank', rel: 'noopener noreferrer' });

/** The nodes of a text. `make(name, properties, ...children)` creates an element; a label has no links. */
export function inline(text, make, isLabel = false) {
  return new Inline(text, make, isLabel).read();
}

class Inline {
  /** What is open, in order. */
  open = [{ marks: '', nodes: [] }];

  constructor(text, make, isLabel) {
    Object.assign(this, { text, make, isLabel });
  }

  read() {
    const { text } = this;
    for (let at = 0; at < text.length;) {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(text);
      this.put(text.slice(at, found?.index));
      at = found ? found.index + this.token(found) : text.length;
    }
    this.abandon(0);
    return this.open[0].nodes;
  }

  put(node) {
    const { nodes } = this.open.at(-1);
    if (typeof node === 'string' && typeof nodes.at(-1) === 'string') nodes.push(nodes.pop() + node);
    else nodes.push(node);
  }

  /** Puts what a token becomes. Returns how many characters were read. */
  token({ 0: whole, index, groups: { escaped, ticks, marks, label, target, angle, bare } }) {
    if (ticks) return this.code(ticks, index + ticks.length);
    if (marks) this.emphasis(marks, this.text[index - 1], this.text[index + marks.length]);
    else if (escaped) this.put(escaped);
    else {
      const url = safeUrl(target ?? angle ?? bare);
      // Without a link, a label is read as text.
      if (!url && target !== undefined) return this.literal(whole.slice(0, 1));
      if (!url || (this.isLabel && !target)) return this.literal(whole);
      this.link(url, target ? inline(label || target, this.make, true) : [(angle ?? bare).replace(/^mailto:/, '')]);
    }
    return whole.length;
  }

  literal(text) {
    this.put(text);
    return text.length;
  }

  link(url, nodes) {
    if (this.isLabel) nodes.forEach((node) => this.put(node));
    else this.put(this.make('a', leadingTo(url), ...nodes));
  }

  code(ticks, start) {
    const length = this.text.slice(start).search(new RegExp(`(?<!\`)${ticks}(?!\`)`));
    if (length < 0) return this.literal(ticks);
    const code = this.text.slice(start, start + length).replaceAll('\n', ' ');
    this.put(this.make('code', {}, code.trim() ? code.replace(/^ (.*) $/, '$1') : code));
    return length + 2 * ticks.length;
  }

  /** A run of marks closes what such marks have opened, and the rest of it opens more. */
  emphasis(run, before, after) {
    let rest = run;
    const isMark = run.length <= 3 && !(run[0] === '_' && isWord(before) && isWord(after));
    while (isMark && rest && !isSpace(before)) {
      const index = this.open.findLastIndex(({ marks }) => marks[0] === rest[0]);
      if (index < 0 || this.open[index].marks.length > rest.length) break;
      this.abandon(index);
      const { marks, nodes } = this.open.pop();
      this.put(this.make(EMPHASES[marks], {}, ...nodes));
      rest = rest.slice(marks.length);
    }
    if (!isMark || isSpace(after) || this.open.length >= MAX_OPEN) this.put(rest);
    else for (const marks of rest.match(/(.)\1|./g) ?? []) this.open.push({ marks, nodes: [] });
  }

  /** Turns what was opened after an emphasis into text. */
  abandon(index) {
    while (this.open.length - 1 > index) {
      const { marks, nodes } = this.open.pop();
      for (const node of [marks, ...nodes]) this.put(node);
    }
  }
}
