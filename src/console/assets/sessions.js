// The list of sessions, newest first: filtered, paged, and refreshed in the background.

import { api, namesOfAgents, reopenTokenPrompt } from './api.js';
import { Countdown } from './countdown.js';
import { startConversation } from './dialogs.js';
import { emptyState, h, setText } from './dom.js';
import { ago, count, fullTime, nameOf, plural, short } from './format.js';

const PAGE = 25;
const REFRESH_INTERVAL = 3000;

export function sessionsView(signal, parameters) {
  return new Sessions(signal).element;
}

class Sessions {
  /** The cursors of the previous pages and of this one. */
  cursors = [undefined];
  rows = new Map();
  names = new Map();
  userId = undefined;

  constructor(signal) {
    this.signal = signal;
    this.heading = h('h1', {}, 'Sessions');
    this.summary = h('p', { class: 'summary' });
    this.agent = h('select', { id: 'filter-agent', onchange: () => this.filter() }, h('option', { value: '' }, 'All agents'));
    this.user = h('input', {
      id: 'filter-user', class: 'mono', placeholder: 'All users', spellcheck: 'false', autocomplete: 'off', onchange: () => this.filter(),
    });
    this.start = h('button', { class: 'primary', type: 'button', onclick: () => this.begin() }, 'Start a conversation');
    this.body = h('tbody', {});
    this.table = h('table', { class: 'sessions' },
      h('thead', {}, h('tr', {},
        ...['Time left', 'Session', 'Agent', 'User', 'Last activity', 'Renewals'].map((name) => h('th', { scope: 'col' }, name)))),
      this.body);
    this.newer = h('button', { type: 'button', onclick: () => this.turn(-1) }, 'Newer');
    this.older = h('button', { type: 'button', onclick: () => this.turn(1) }, 'Older');
    this.place = h('p', { class: 'muted' });
    this.pager = h('nav', { class: 'pager', 'aria-label': 'Pages', hidden: true }, this.newer, this.place, this.older);
    this.message = h('div', {});
    this.element = h('div', { class: 'view' },
      h('div', { class: 'view-head' }, h('div', {}, this.heading, this.summary), this.start),
      h('form', { class: 'filters', onsubmit: (event) => event.preventDefault() },
        h('div', { class: 'field' }, h('label', { for: 'filter-agent' }, 'Agent'), this.agent),
        h('div', { class: 'field grow' }, h('label', { for: 'filter-user' }, 'User'), this.user)),
      this.message, this.table, this.pager);
    this.table.hidden = true;
    signal.addEventListener('abort', () => this.rows.forEach((row) => row.countdown.stop()));
    this.fillAgents();
    this.keepFresh();
  }

  async fillAgents() {
    try {
      this.names = await namesOfAgents();
    } catch {
      return;
    }
    const options = [...this.names].map(([id, name]) => h('option', { value: id }, name));
    this.agent.append(...options);
    for (const row of this.rows.values()) row.nameAgent(this.names);
  }

  filter() {
    this.cursors = [undefined];
    this.refresh();
  }

  turn(by) {
    if (by > 0) this.cursors.push(this.next);
    else this.cursors.pop();
    this.refresh();
    this.heading.scrollIntoView({ block: 'nearest' });
  }

  async begin() {
    const session = await startConversation();
    if (session) location.hash = `#/sessions/${session.sessionId}`;
  }

  async keepFresh() {
    while (!this.signal.aborted) {
      if (!document.hidden) await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, REFRESH_INTERVAL));
    }
  }

  async refresh() {
    // Only the response to the last request is shown.
    const request = (this.request = Symbol('request'));
    const parameters = {
      limit: PAGE, cursor: this.cursors.at(-1), agentId: this.agent.value, userId: this.user.value.trim() || this.userId,
    };
    try {
      const list = await api.sessions(parameters, this.signal);
      if (request === this.request) this.show(list);
    } catch (error) {
      if (this.signal.aborted || request !== this.request) return;
      // A user may list only their own sessions.
      const userId = error.status === 403 && !parameters.userId ? await this.ownId() : undefined;
      if (this.signal.aborted || request !== this.request) return;
      if (userId) {
        this.userId = userId;
        await this.refresh();
        return;
      }
      this.fail(error);
    }
  }

  /** The id of the user whom the token identifies, if any. */
  async ownId() {
    try {
      return (await api.me(this.signal)).userId;
    } catch {
      return undefined;
    }
  }

  fail(error) {
    if (error.status === 0 && this.rows.size) return;
    if (error.status === 401) return this.showMessage('Not signed in', 'The list requires a token.', h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token'));
    if (error.status === 403) return this.showMessage('Not permitted', 'Listing all sessions requires the admin token.');
    if (error.status === 400) return this.showMessage('The filter is not valid', error.message);
    this.showMessage('The sessions cannot be shown', error.message);
  }

  showMessage(title, text, ...actions) {
    this.message.replaceChildren(emptyState(title, text, ...actions));
    this.table.hidden = true;
    this.pager.hidden = true;
    setText(this.summary, '');
  }

  show({ sessions, total, stats, nextCursor }) {
    this.next = nextCursor;
    const isFiltered = this.agent.value || this.user.value.trim();
    const retained = stats.expiredSessions ? `, ${count(stats.expiredSessions)} expired and retained` : '';
    setText(this.summary, isFiltered
      ? `${plural(total, 'session')} of ${count(stats.activeSessions)} match`
      : `${count(stats.activeSessions)} active${retained}`);
    this.fillTable(sessions);
    this.table.hidden = sessions.length === 0;
    this.message.replaceChildren();
    if (!sessions.length && this.cursors.length === 1) {
      if (isFiltered) this.message.append(emptyState('No session matches', 'Try another agent or user.'));
      else this.message.append(emptyState('No sessions yet', 'Start one here, or create one through the API. It will appear automatically.'));
    }
    this.pager.hidden = !nextCursor && this.cursors.length === 1;
    this.newer.disabled = this.cursors.length === 1;
    this.older.disabled = !nextCursor;
    setText(this.place, `Page ${this.cursors.length} of ${Math.max(this.cursors.length, Math.ceil(total / PAGE))}`);
  }

  fillTable(sessions) {
    const shown = new Set(sessions.map(({ sessionId }) => sessionId));
    for (const [id, row] of this.rows) {
      if (shown.has(id)) continue;
      row.element.remove();
      row.countdown.stop();
      this.rows.delete(id);
    }
    sessions.forEach((session, index) => {
      let row = this.rows.get(session.sessionId);
      if (row) row.take(session);
      else {
        row = new Row(session, this.names);
        this.rows.set(session.sessionId, row);
      }
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
  }
}

class Row {
  constructor(session, names) {
    this.countdown = new Countdown(session);
    this.agent = h('td', { 'data-label': 'Agent' });
    this.activity = h('td', { 'data-label': 'Last activity', class: 'muted' });
    this.renewals = h('td', { 'data-label': 'Renewals', class: 'number muted' });
    const name = nameOf(session);
    this.element = h('tr', {},
      h('td', { 'data-label': 'Time left' }, this.countdown.element),
      h('td', { 'data-label': 'Session' }, h('a', { class: 'mono', href: `#/sessions/${session.sessionId}`, title: session.sessionId }, short(session.sessionId))),
      this.agent,
      h('td', { 'data-label': 'User', class: 'user', title: session.userId }, name
        ? h('span', { class: 'clip' }, name)
        : h('span', { class: 'mono muted' }, short(session.userId))),
      this.activity, this.renewals);
    this.show(session);
    this.nameAgent(names);
  }

  take(session) {
    this.countdown.take(session);
    this.show(session);
  }

  show(session) {
    this.session = session;
    setText(this.activity, ago(session.lastActivity));
    this.activity.title = fullTime(session.lastActivity);
    setText(this.renewals, count(session.renewalCount));
  }

  nameAgent(names) {
    const name = names.get(this.session.agentId);
    this.agent.replaceChildren(name ? h('span', { class: 'clip' }, name) : h('span', { class: 'mono muted' }, short(this.session.agentId)));
  }
}
