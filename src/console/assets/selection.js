// The selected sessions, and what can be done with them.

import { check } from './dialogs.js';
import { button, h, notify, setText } from './dom.js';
import { eraseSessions } from './erase.js';
import { count, plural } from './format.js';

export class Selection {
  ids = new Set();

  /** `ended` is called when sessions were deleted. */
  constructor(table, ended) {
    this.table = table;
    this.ended = ended;
    this.all = h('input', { type: 'checkbox', onchange: () => this.selectAll(this.all.checked) });
    this.number = h('span', { class: 'muted', role: 'status' });
    this.actions = h('div', { class: 'actions' },
      button('Clear selection', () => this.clear(), 'quiet'), button('Delete', () => this.erase(), 'danger-quiet'));
    this.element = h('div', { class: 'selection' }, check('Select all on this page', this.all), this.number, this.actions);
    table.body.addEventListener('click', (event) => this.clicked(event));
  }

  /** A click with Shift selects all rows since the last click. */
  clicked({ target, shiftKey }) {
    if (target.type !== 'checkbox') return;
    const rows = this.table.inOrder();
    const at = rows.findIndex(({ box }) => box === target);
    const last = shiftKey ? rows.indexOf(this.last) : -1;
    const [from, to] = [last < 0 ? at : last, at].sort((a, b) => a - b);
    for (const row of rows.slice(from, to + 1)) this.set(row, target.checked);
    this.last = rows[at];
    this.show();
  }

  set(row, isSelected) {
    row.box.checked = isSelected;
    row.element.classList.toggle('selected', isSelected);
    if (isSelected) this.ids.add(row.id);
    else this.ids.delete(row.id);
  }

  selectAll(isSelected) {
    for (const row of this.table.inOrder()) this.set(row, isSelected);
    this.show();
  }

  clear() {
    this.selectAll(false);
    this.all.focus({ preventScroll: true });
  }

  /** Shows the selection of the rows that exist now. */
  show() {
    const { ids, table: { rows } } = this;
    for (const id of ids) if (!rows.has(id)) ids.delete(id);
    this.all.checked = ids.size > 0 && ids.size === rows.size;
    this.all.indeterminate = ids.size > 0 && ids.size < rows.size;
    this.element.hidden = !rows.size;
    this.element.classList.toggle('active', ids.size > 0);
    this.actions.hidden = !ids.size;
    setText(this.number, ids.size ? `${count(ids.size)} selected` : '');
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
    this.ended();
  }
}
