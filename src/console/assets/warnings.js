// The last warnings and errors of the server's log.

import { h, setText } from './dom.js';
import { fullTime, plural, shortTime } from './format.js';

export class Warnings {
  entries = [];

  constructor() {
    this.level = h('select', { id: 'log-level', onchange: () => this.show() },
      h('option', { value: '' }, 'Warnings and errors'), h('option', { value: 'WARN' }, 'Warnings only'), h('option', { value: 'ERROR' }, 'Errors only'));
    this.found = h('p', { class: 'muted' });
    this.list = h('ol', { class: 'warnings' });
    this.element = h('section', { class: 'card', 'aria-labelledby': 'warnings' },
      h('div', { class: 'card-head' }, h('h2', { id: 'warnings' }, 'Warnings'),
        h('div', { class: 'field' }, h('label', { for: 'log-level' }, 'Level'), this.level)),
      this.found,
      h('div', { class: 'scroll tall', tabindex: '0', role: 'group', 'aria-label': 'Lines of the log' }, this.list));
  }

  /** Takes the entries, in any order. */
  fill(entries) {
    const received = JSON.stringify(entries);
    if (received === this.received) return;
    this.received = received;
    this.entries = entries.map((entry, index) => ({ ...entry, index, time: Date.parse(entry.at) }))
      .sort((a, b) => b.time - a.time || b.index - a.index);
    this.show();
  }

  fail(text) {
    setText(this.found, text);
  }

  show() {
    const level = this.level.value;
    const shown = this.entries.filter((entry) => !level || entry.level.toUpperCase() === level);
    const most = this.entries.length >= 200 ? ', the last 200 since the start' : '';
    setText(this.found, shown.length ? plural(shown.length, 'line') + most : 'Nothing has been logged since the start.');
    this.list.replaceChildren(...shown.map(entryOf));
  }
}

function entryOf({ at, level, message, fields }) {
  const isError = level.toUpperCase() === 'ERROR';
  const named = Object.entries(fields ?? {});
  return h('li', { class: 'warning' },
    h('div', { class: 'warning-head' },
      h('time', { datetime: at, title: fullTime(at), class: 'muted' }, shortTime(at)),
      h('span', { class: isError ? 'chip bad' : 'chip warn' }, isError ? 'Error' : 'Warning')),
    message && h('p', { dir: 'auto' }, message),
    named.length > 0 && h('dl', { class: 'log-fields mono' }, ...named.map(([name, value]) =>
      h('div', {}, h('dt', {}, name), h('dd', { dir: 'auto' }, typeof value === 'string' ? value : JSON.stringify(value))))));
}
