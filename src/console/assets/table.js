// The table of sessions. Rows are compared with what they show, so that a refresh changes only differences.

import { copy } from './copy.js';
import { Countdown } from './countdown.js';
import { h, setText, svg } from './dom.js';
import { ago, fullTime, nameOf, short, shortTime } from './format.js';
import { marked, oneLine, ranges, snippet, titleOf } from './text.js';

const COLUMNS = ['Select', 'Session', 'Last message', 'Agent', 'User', 'Last activity', 'Time left'];
const KINDS = ['pick', 'title', 'last', 'agent', 'user', 'activity', 'left'];

/** A button that copies an id, `what` of which is for example "session id". */
export function copyId(id, what) {
  const label = `Copy ${what}`;
  const icon = svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: 'M6 6h7v7H6zM10 6V3H3v7h3' }));
  return h('button', { type: 'button', class: 'copy', 'aria-label': label, title: label, onclick: () => copy(id) }, icon);
}

export class SessionTable {
  rows = new Map();
  names = new Map();
  ticks = 0;

  /** `filterByUser` is called with an id. */
  constructor(filterByUser) {
    this.filterByUser = filterByUser;
    this.body = h('tbody', { role: 'rowgroup' });
    // The style sheet shows rows as grids; the roles keep them a table for screen readers.
    this.element = h('table', { class: 'sessions', role: 'table', 'aria-label': 'Sessions', hidden: true },
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
        COLUMNS.map((name, index) => h('th', { scope: 'col', role: 'columnheader', class: KINDS[index] }, index ? name : h('span', { class: 'hidden' }, name))))),
      this.body);
  }

  inOrder() {
    return Array.from(this.body.children, (element) => this.rows.get(element.dataset.id));
  }

  /** Shows sessions. If the page `isFrozen`, rows stay where they are. */
  show(sessions, { isFrozen = false, searched = '' } = {}) {
    if (isFrozen) {
      for (const session of sessions) this.rows.get(session.sessionId)?.take(session);
      return;
    }
    const shown = new Set(sessions.map(({ sessionId }) => sessionId));
    this.remove([...this.rows.keys()].filter((id) => !shown.has(id)));
    sessions.forEach((session, index) => {
      const row = this.take(session, searched);
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
    this.element.hidden = sessions.length === 0;
  }

  take(session, searched) {
    let row = this.rows.get(session.sessionId);
    if (row?.searched === searched) row.take(session);
    else {
      row?.element.remove();
      row = new Row(session, searched, this);
      this.rows.set(row.id, row);
    }
    return row;
  }

  remove(ids) {
    for (const id of ids) {
      this.rows.get(id)?.element.remove();
      this.rows.delete(id);
    }
    this.element.hidden = this.rows.size === 0;
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
  constructor(session, searched, table) {
    this.id = session.sessionId;
    this.searched = searched;
    this.table = table;
    this.cells = Object.fromEntries(KINDS.map((kind, index) => [kind, h('td', { class: kind, role: 'cell', 'data-label': COLUMNS[index] })]));
    this.box = h('input', { type: 'checkbox' });
    this.cells.pick.append(h('label', {}, this.box));
    this.element = h('tr', { role: 'row', 'data-id': this.id }, Object.values(this.cells));
    this.take(session);
  }

  take(session) {
    this.session = session;
    const { metadata, lastMessage, agentId, retainedUntil } = session;
    if (this.differs('title', metadata)) this.showTitle();
    if (this.differs('last', lastMessage)) this.showLast();
    if (this.differs('agent', agentId)) this.nameAgent();
    if (this.differs('left', retainedUntil && [retainedUntil, ago(session.expiresAt)])) this.showStatus();
    else this.countdown?.take(session);
    setText(this.cells.activity, ago(session.lastActivity));
    if (this.differs('activity', session.lastActivity)) this.cells.activity.title = fullTime(session.lastActivity);
  }

  differs(part, value) {
    const text = JSON.stringify(value) ?? '';
    this.seen ??= {};
    if (this.seen[part] === text) return false;
    this.seen[part] = text;
    return true;
  }

  showTitle() {
    const { session, searched } = this;
    const title = titleOf(session);
    const name = h('span', { class: title ? 'clip' : 'clip muted', dir: 'auto' }, title ? marked(title, searched) : 'Untitled');
    const id = h('span', { class: 'mono muted', title: this.id }, short(this.id));
    this.box.setAttribute('aria-label', `Select ${title || 'Untitled'} ${short(this.id)}`);
    this.cells.title.replaceChildren(
      h('a', { class: 'row-link', href: `#/sessions/${this.id}` }, name, id),
      copyId(this.id, 'session id'), this.whyFound(title) ?? '');
    this.showUser();
  }

  /** The text of the metadata that a search has found, unless it is shown anyway. */
  whyFound(title) {
    const { searched, session } = this;
    if (!searched || ranges(title, searched).length) return undefined;
    const found = Object.entries(session.metadata).find(([, value]) => typeof value === 'string' && ranges(value, searched).length);
    return found && h('p', { class: 'why', dir: 'auto' }, `${oneLine(found[0], 40)}: `, snippet(found[1], searched, { before: 20, length: 80 }));
  }

  showUser() {
    const { userId } = this.session;
    const name = nameOf(this.session);
    const shown = name ? h('span', { class: 'clip', dir: 'auto' }, marked(oneLine(name, 80), this.searched)) : h('span', { class: 'mono muted' }, short(userId));
    this.cells.user.replaceChildren(
      h('button', { type: 'button', class: 'by-user', title: `Only sessions of the user ${userId}`, onclick: () => this.table.filterByUser(userId) }, shown),
      copyId(userId, 'user id'));
  }

  showLast() {
    const { lastMessage } = this.session;
    if (!lastMessage) {
      this.cells.last.replaceChildren(lastMessage === null ? h('span', { class: 'muted' }, 'No messages') : '');
      return;
    }
    const { content, isAgent, createdAt } = lastMessage;
    this.cells.last.replaceChildren(h('span', { class: 'words-line', title: fullTime(createdAt) },
      h('span', { class: 'muted' }, isAgent ? 'Agent: ' : 'User: '), h('bdi', {}, oneLine(content, 120))));
  }

  nameAgent() {
    const { agentId } = this.session;
    const name = this.table.names.get(agentId);
    this.cells.agent.replaceChildren(
      name ? h('span', { class: 'clip', dir: 'auto', title: agentId }, oneLine(name, 80)) : h('span', { class: 'mono muted', title: agentId }, short(agentId)),
      copyId(agentId, 'agent id'));
  }

  showStatus() {
    const { session } = this;
    this.countdown = undefined;
    if (session.status === 'expired') {
      this.cells.left.replaceChildren(
        h('span', { class: 'clip', title: fullTime(session.expiresAt) }, `expired ${ago(session.expiresAt)}`),
        h('span', { class: 'muted', title: fullTime(session.retainedUntil) }, `kept until ${shortTime(session.retainedUntil)}`));
      return;
    }
    this.countdown = new Countdown(session);
    // The table counts.
    this.countdown.stop();
    this.cells.left.replaceChildren(this.countdown.element);
  }
}
