// The selected sessions, and what can be done with them.

import { h, notify, setText } from './dom.js';
import { eraseSessions } from './erase.js';
import { count, plural } from './format.js';

export class Selection {
  ids = new Set();

  /** `ended` is called with the ids of deleted sessions. */
  constructor(table, ended) {
    this.table = table;
    this.ended = ended;
    this.all = h('input', { type: 'checkbox', id: 'select-all', onchange: () => this.selectAll(this.all.checked) });
    this.number = h('span', { class: 'muted', role: 'status' });
    this.actions = h('div', { class: 'actions', hidden: true },
      h('button', { type: 'button', class: 'quiet', onclick: () => this.clear() }, 'Clear selection'),
      h('button', { type: 'button', class: 'danger-quiet', onclick: () => this.erase() }, 'Delete'));
    this.element = h('div', { class: 'selection' },
      h('div', { class: 'check' }, this.all, h('label', { for: 'select-all' }, 'Select all on this page')), this.number, this.actions);
    table.body.addEventListener('click', (event) => this.clicked(event));
  }

  get rows() {
    return this.table.inOrder();
  }

  /** A click with Shift selects all rows since the last click. */
  clicked(event) {
    const row = event.target.type === 'checkbox' && this.rows.find(({ box }) => box === event.target);
    if (!row) return;
    const { checked } = row.box;
    const rows = this.rows;
    const last = event.shiftKey ? rows.indexOf(this.last) : -1;
    const [from, to] = [last < 0 ? rows.indexOf(row) : last, rows.indexOf(row)].sort((a, b) => a - b);
    for (const each of rows.slice(from, to + 1)) this.set(each, checked);
    this.last = row;
    this.show();
  }

  set(row, isSelected) {
    row.box.checked = isSelected;
    row.element.classList.toggle('selected', isSelected);
    if (isSelected) this.ids.add(row.id);
    else this.ids.delete(row.id);
  }

  selectAll(isSelected) {
    for (const row of this.rows) this.set(row, isSelected);
    this.show();
  }

  clear() {
    this.selectAll(false);
    this.all.focus({ preventScroll: true });
  }

  /** Shows the selection of the rows that exist now. */
  show() {
    const { rows } = this;
    const shown = new Set(rows.map(({ id }) => id));
    for (const id of this.ids) if (!shown.has(id)) this.ids.delete(id);
    const { size } = this.ids;
    this.all.checked = size > 0 && size === rows.length;
    this.all.indeterminate = size > 0 && size < rows.length;
    this.element.hidden = rows.length === 0;
    this.element.classList.toggle('active', size > 0);
    this.actions.hidden = size === 0;
    setText(this.number, size ? `${count(size)} selected` : '');
  }

  async erase() {
    const outcome = await eraseSessions([...this.ids]);
    if (!outcome) return;
    const { deleted, failed, reason } = outcome;
    this.table.remove(deleted);
    this.show();
    if (failed.length) notify(`Deleted ${count(deleted.length)}; ${plural(failed.length, 'session')} could not be deleted: ${reason}`, 'bad');
    else notify(`Deleted ${plural(deleted.length, 'session')}.`, 'good');
    (this.element.hidden ? document.querySelector('#main') : this.all).focus({ preventScroll: true });
    this.ended(deleted);
  }
}
