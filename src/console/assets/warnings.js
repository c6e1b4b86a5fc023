// The last warnings and errors of the server's log.

import { field } from './dialogs.js';
import { card, h, scrolling, setText, timeElement } from './dom.js';
import { plural, shortTime } from './format.js';

/** The server keeps so many lines. */
const MOST = 200;

export class Warnings {
  constructor() {
    this.level = h('select', { onchange: () => this.show() },
      h('option', { value: '' }, 'Warnings and errors'), h('option', { value: 'WARN' }, 'Warnings only'), h('option', { value: 'ERROR' }, 'Errors only'));
    this.found = h('p', { class: 'muted' });
    this.list = h('ol', { class: 'warnings' });
    this.element = card('Warnings', field('Level', this.level), this.found, scrolling('Lines of the log', this.list));
  }

  /** Takes the entries, oldest first. */
  fill(entries) {
    const received = JSON.stringify(entries);
    if (received === this.received) return;
    this.received = received;
    this.entries = entries.toReversed();
    this.show();
  }

  show() {
    const { entries, level: { value } } = this;
    const shown = entries.filter(({ level }) => !value || level === value);
    const most = entries.length < MOST ? '' : `, of the last ${MOST} since the start`;
    setText(this.found, shown.length ? plural(shown.length, 'line') + most : 'Nothing has been logged since the start.');
    this.list.replaceChildren(...shown.map(entryOf));
  }
}

const entryOf = ({ at, level, message, fields }) => h('li', {},
  h('div', { class: 'warning-head' },
    timeElement(at, shortTime(at), 'muted'),
    level === 'ERROR' ? h('span', { class: 'chip bad' }, 'Error') : h('span', { class: 'chip warn' }, 'Warning')),
  h('p', { dir: 'auto' }, message),
  h('dl', { class: 'log-fields mono' }, Object.entries(fields).map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', { dir: 'auto' }, typeof value === 'string' ? value : JSON.stringify(value))))));
