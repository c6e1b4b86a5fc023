// The table of sessions. Cells are compared with what they show, so that a refresh changes only differences.

import { copy } from './copy.js';
import { Countdown } from './countdown.js';
import { h, svg, timeElement } from './dom.js';
import { ago, fullTime, nameOf, short, shortTime } from './format.js';
import { marked, oneLine, ranges, snippet, titleOf } from './text.js';

const COLUMNS = { pick: 'Select', title: 'Session', last: 'Last message', agent: 'Agent', user: 'User', activity: 'Last activity', left: 'Time left' };

/** A button that copies an id, `what` of which is for example "session id". */
export function copyId(id, what) {
  const label = `Copy ${what}`;
  const icon = svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: 'M6 6h7v7H6zM10 6V3H3v7h3' }));
  return h('button', { type: 'button', class: 'copy', 'aria-label': label, title: label, onclick: () => copy(id) }, icon);
}

/** A name, or the end of an id that has none. */
const named = (id, name, searched = '') => (name
  ? h('span', { class: 'clip', dir: 'auto', title: id }, marked(oneLine(name, 80), searched))
  : h('span', { class: 'mono muted', title: id }, short(id)));

export class SessionTable {
  rows = new Map();
  names = new Map();
  ticks = 0;

  /** `filterByUser` is called with an id. */
  constructor(filterByUser) {
    this.filterByUser = filterByUser;
    this.body = h('tbody', { role: 'rowgroup' });
    const heads = Object.entries(COLUMNS).map(([kind, name]) => h('th', { scope: 'col', role: 'columnheader', class: kind }, h('span', { class: kind === 'pick' && 'hidden' }, name)));
    // The style sheet shows rows as grids; the roles keep them a table for screen readers.
    this.element = h('table', { class: 'sessions', role: 'table', 'aria-label': 'Sessions' },
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)), this.body);
  }

  inOrder() {
    return Array.from(this.body.children, ({ dataset }) => this.rows.get(dataset.id));
  }

  /** Shows sessions. If the page `isFrozen`, rows stay where they are. */
  show(sessions, { isFrozen = false, searched = '' } = {}) {
    if (isFrozen) {
      for (const session of sessions) this.rows.get(session.sessionId)?.take(session);
      return;
    }
    const shown = new Set(sessions.map(({ sessionId }) => sessionId));
    this.remove([...this.rows].filter(([id, row]) => !shown.has(id) || row.searched !== searched).map(([id]) => id));
    sessions.forEach((session, index) => {
      const row = this.rows.get(session.sessionId) ?? new Row(session.sessionId, searched, this);
      row.take(session);
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
    this.element.hidden = !sessions.length;
  }

  remove(ids) {
    for (const id of ids) {
      this.rows.get(id).element.remove();
      this.rows.delete(id);
    }
    this.element.hidden = !this.rows.size;
  }

  nameAgents(names) {
    this.names = names;
    for (const row of this.rows.values()) row.nameAgent();
  }

  /** Counts down: the last minute of a session by the second, the rest in steps, which cost less. */
  tick() {
    this.ticks += 1;
    for (const { countdown } of this.rows.values()) {
      if (countdown && (countdown.remaining < 60_000 || this.ticks % 3 === 0)) countdown.tick();
    }
  }
}

class Row {
  /** What each cell shows. */
  shown = {};

  constructor(id, searched, table) {
    Object.assign(this, { id, searched, table });
    table.rows.set(id, this);
    this.cells = Object.fromEntries(Object.keys(COLUMNS).map((kind) => [kind, h('td', { class: kind, role: 'cell' })]));
    this.box = h('input', { type: 'checkbox' });
    this.cells.pick.append(h('label', {}, this.box));
    this.element = h('tr', { role: 'row', 'data-id': id }, Object.values(this.cells));
  }

  take(session) {
    this.session = session;
    const { metadata, lastMessage, lastActivity, expiresAt, retainedUntil } = session;
    this.fill('title', metadata, () => this.title());
    this.fill('user', metadata, () => this.user());
    this.fill('last', lastMessage, () => [this.last()]);
    this.nameAgent();
    this.fill('activity', ago(lastActivity), (words) => [timeElement(lastActivity, words)]);
    this.fill('left', retainedUntil ? ago(expiresAt) : '', (words) => (words ? this.end(words) : this.count()));
    this.countdown?.take(session);
  }

  /** Shows something that depends on a value, if it has changed. */
  fill(kind, value, make) {
    const text = JSON.stringify(value);
    if (this.shown[kind] === text) return;
    this.shown[kind] = text;
    this.cells[kind].replaceChildren(...make(value));
  }

  title() {
    const { id, session, searched } = this;
    const title = titleOf(session);
    const name = h('span', { class: title ? 'clip' : 'clip muted', dir: 'auto' }, title ? marked(title, searched) : 'Untitled');
    this.box.setAttribute('aria-label', `Select ${title || 'Untitled'} ${short(id)}`);
    return [
      h('a', { class: 'row-link', href: `#/sessions/${id}` }, name, h('span', { class: 'mono muted', title: id }, short(id))),
      copyId(id, 'session id'), this.whyFound(title)];
  }

  /** The text of the metadata that a search has found, unless it is shown anyway. */
  whyFound(title) {
    const { searched, session } = this;
    if (ranges(title, searched).length) return '';
    const [name, value] = Object.entries(session.metadata).find(([, text]) => typeof text === 'string' && ranges(text, searched).length) ?? [];
    return name ? h('p', { class: 'why', dir: 'auto' }, `${oneLine(name, 40)}: `, snippet(value, searched, { before: 20, length: 80 })) : '';
  }

  user() {
    const { userId } = this.session;
    const title = `Only sessions of the user ${userId}`;
    return [
      h('button', { type: 'button', class: 'by-user', title, onclick: () => this.table.filterByUser(userId) }, named(userId, nameOf(this.session), this.searched)),
      copyId(userId, 'user id')];
  }

  last() {
    const { lastMessage } = this.session;
    if (!lastMessage) return h('span', { class: 'muted' }, 'No messages');
    const { content, isAgent, createdAt } = lastMessage;
    return h('span', { class: 'words-line', title: fullTime(createdAt) }, h('span', { class: 'muted' }, isAgent ? 'Agent: ' : 'User: '), h('bdi', {}, oneLine(content, 120)));
  }

  nameAgent() {
    const { agentId } = this.session;
    this.fill('agent', this.table.names.get(agentId) ?? null, (name) => [named(agentId, name), copyId(agentId, 'agent id')]);
  }

  /** The end of an expired session. */
  end(words) {
    const { expiresAt, retainedUntil } = this.session;
    this.countdown = undefined;
    return [timeElement(expiresAt, `expired ${words}`, 'clip'), timeElement(retainedUntil, `kept until ${shortTime(retainedUntil)}`, 'muted')];
  }

  count() {
    this.countdown = new Countdown(this.session);
    // The table counts.
    this.countdown.stop();
    return [this.countdown.element];
  }
}
