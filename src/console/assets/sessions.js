// The sessions, newest first: filtered, paged, and refreshed in the background; or a search of them and
// of their messages. What is shown is in the URL.

import { api, namesOfAgents, reopenTokenPrompt, token } from './api.js';
import { startConversation } from './dialogs.js';
import { emptyState, h, notify, setText } from './dom.js';
import { eraseUser } from './erase.js';
import { count, plural, short } from './format.js';
import { Results, findersOf } from './search.js';
import { Selection } from './selection.js';
import { SessionTable, copyId } from './table.js';

const PAGE = 25;
const REFRESH_INTERVAL = 3000;
/** How long typing pauses before a search begins. */
const TYPING_PAUSE = 300;
const FILTERS = ['q', 'status', 'agent', 'user', 'cursor'];
const STATUSES = { active: 'Active', expired: 'Expired', all: 'All' };
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The last search, to which Back returns. */
let lastSearch;

export function sessionsView(signal, parameters) {
  return new Sessions(signal, parameters).element;
}

class Sessions {
  /** The cursors of the previous pages, as far as they are known, and of this one. */
  cursors = [''];
  /** Of the user whom the token identifies, who sees only their own sessions. */
  own = undefined;
  saidAt = Date.now();

  constructor(signal, parameters) {
    this.signal = signal;
    this.filter = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) ?? '']));
    this.returning = history.state ?? undefined;
    const cursors = this.returning?.cursors;
    this.cursors = cursors?.at(-1) === this.filter.cursor ? cursors : [this.filter.cursor];
    this.build();
    signal.addEventListener('abort', () => this.end());
    addEventListener('scroll', () => this.scrolled(), { signal, passive: true });
    this.element.addEventListener('click', ({ target }) => this.savePlace(target.closest('a')?.getAttribute('href')));
    this.named = this.fillAgents();
    this.load();
    this.keepFresh();
    this.ticking = setInterval(() => !document.hidden && this.table.tick(), 1000);
  }

  end() {
    this.loading?.abort();
    clearInterval(this.ticking);
    clearTimeout(this.typing);
    clearTimeout(this.saving);
  }

  build() {
    this.heading = h('h1', {}, 'Sessions');
    this.summary = h('p', { class: 'summary' });
    this.live = h('p', { class: 'hidden', role: 'status' });
    const start = h('button', { class: 'primary', type: 'button', onclick: () => this.begin() }, 'Start a conversation');
    this.table = new SessionTable((user) => this.go({ user }));
    this.selection = new Selection(this.table, (ids) => (this.filter.q.trim() ? this.results.forget(ids) : this.load()));
    this.results = new Results(this.table, this.selection, (...outcome) => this.says(...outcome), (error) => this.fail(error));
    this.newer = h('button', { type: 'button', onclick: () => this.turn(-1) }, 'Newer');
    this.older = h('button', { type: 'button', onclick: () => this.turn(1) }, 'Older');
    this.place = h('p', { class: 'muted' });
    this.pager = h('nav', { class: 'pager', 'aria-label': 'Pages', hidden: true }, this.newer, this.place, this.older);
    this.message = h('div', {});
    this.person = h('div', { class: 'person', hidden: true });
    this.element = h('div', { class: 'view' },
      h('div', { class: 'view-head' }, h('div', {}, this.heading, this.summary), start),
      this.buildFilters(), this.person, this.message, this.live,
      h('div', { class: 'list' }, this.results.groups.map(({ element }) => element)), this.pager);
    this.selection.show();
  }

  buildFilters() {
    const field = (label, input, kind = '') => h('div', { class: `field ${kind}` }, h('label', { for: input.id }, label), input);
    this.search = h('input', {
      id: 'search', type: 'search', spellcheck: 'false', autocomplete: 'off', enterkeyhint: 'search', dir: 'auto',
      placeholder: 'Titles, names, ids and messages', oninput: (event) => this.typed(event), oncompositionend: () => this.typed({}),
    });
    this.agent = h('select', { id: 'filter-agent', onchange: () => this.go({ agent: this.agent.value }) }, h('option', { value: '' }, 'All agents'));
    this.user = h('input', {
      id: 'filter-user', class: 'mono', placeholder: 'All users', spellcheck: 'false', autocomplete: 'off',
      onchange: () => this.go({ user: this.user.value.trim() }),
      oninput: () => UUID.test(this.user.value.trim()) && this.go({ user: this.user.value.trim() }),
    });
    this.userField = field('User', this.user, 'grow');
    this.statuses = Object.entries(STATUSES).map(([value, name]) => {
      const input = h('input', { type: 'radio', name: 'status', value, id: `status-${value}`, onchange: () => this.choose(value) });
      return h('span', {}, input, h('label', { for: input.id }, name));
    });
    this.clear = h('button', { type: 'button', class: 'quiet', onclick: () => this.go({ q: '', status: '', agent: '', user: '' }) }, 'Clear filters');
    const submit = (event) => {
      event.preventDefault();
      this.searchFor(this.search.value);
    };
    return h('form', { class: 'filters', role: 'search', onsubmit: submit },
      field('Search', this.search, 'grow search'),
      h('div', { class: 'field', role: 'radiogroup', 'aria-labelledby': 'status-label' },
        h('span', { id: 'status-label', class: 'label' }, 'Status'), h('div', { class: 'segments' }, this.statuses)),
      field('Agent', this.agent), this.userField, this.clear);
  }

  async fillAgents() {
    try {
      this.table.nameAgents(await namesOfAgents());
    } catch {
      return;
    }
    const known = new Set([...this.agent.options].map(({ value }) => value));
    for (const [id, name] of this.table.names) {
      if (known.has(id)) setText([...this.agent.options].find(({ value }) => value === id), name);
      else this.agent.append(h('option', { value: id }, name));
    }
  }

  async begin() {
    const session = await startConversation();
    if (session) location.hash = `#/sessions/${session.sessionId}`;
  }

  /** The status that is shown: a search finds all, unless one was chosen. */
  get status() {
    return this.filter.status || (this.filter.q.trim() ? 'all' : 'active');
  }

  choose(status) {
    this.go({ status: status === (this.filter.q.trim() ? 'all' : 'active') ? '' : status });
  }

  typed({ isComposing }) {
    clearTimeout(this.typing);
    if (!isComposing) this.typing = setTimeout(() => this.searchFor(this.search.value), TYPING_PAUSE);
  }

  searchFor(text) {
    clearTimeout(this.typing);
    if (text.trim() !== this.filter.q.trim()) this.go({ q: text.trim() }, { isTyping: true });
  }

  turn(by) {
    const cursors = by > 0 ? [...this.cursors, this.next] : this.cursors.slice(0, -1);
    this.go({ cursor: cursors.at(-1) ?? '' }, { cursors: cursors.length ? cursors : [''] });
    this.heading.scrollIntoView({ block: 'nearest' });
  }

  /** Changes what is shown, and the URL. What is typed is one entry of the history. */
  go(changes, { isTyping = false, cursors = [''] } = {}) {
    const next = { ...this.filter, cursor: '', ...changes };
    if (FILTERS.every((name) => next[name] === this.filter[name])) return;
    this.savePlace();
    this.filter = next;
    this.returning = undefined;
    this.cursors = cursors;
    const set = FILTERS.filter((name) => next[name]).map((name) => [name, next[name]]);
    const url = set.length ? `#/?${new URLSearchParams(set)}` : '#/';
    if (isTyping && history.state?.isTyping) history.replaceState({ isTyping }, '', url);
    else history.pushState({ isTyping, cursors }, '', url);
    this.selection.selectAll(false);
    this.saidAt = Date.now();
    this.load();
  }

  scrolled() {
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.savePlace(history.state?.link), 200);
  }

  /** Remembers in the history where the view is scrolled to, and the link that leaves it. */
  savePlace(link) {
    if (!this.signal.aborted) history.replaceState({ ...history.state, cursors: this.cursors, scroll: scrollY, link }, '');
  }

  /** Returns to the place that was left, once it is shown. */
  restorePlace() {
    const { scroll = 0, link } = this.returning ?? {};
    this.returning = undefined;
    if (scroll) scrollTo(0, scroll);
    const isFree = document.activeElement === document.body || document.activeElement.id === 'main';
    if (link && isFree) [...this.element.querySelectorAll('a.row-link')].find((a) => a.getAttribute('href') === link)?.focus({ preventScroll: true });
  }

  showFilter() {
    const { q, agent, user } = this.filter;
    if (this.search.value.trim() !== q.trim()) this.search.value = q;
    if (agent && ![...this.agent.options].some(({ value }) => value === agent)) {
      this.agent.append(h('option', { value: agent }, this.table.names.get(agent) ?? short(agent)));
    }
    this.agent.value = agent;
    if (this.user.value.trim() !== user) this.user.value = user;
    for (const { firstChild: radio } of this.statuses) radio.checked = radio.value === this.status;
    this.clear.hidden = !this.isFiltered;
  }

  get isFiltered() {
    return Boolean(this.filter.agent || this.filter.user || this.filter.status);
  }

  get conditions() {
    const { q, agent, user } = this.filter;
    return { q: q.trim(), status: this.status, agentId: agent, userId: this.own ?? user };
  }

  /** Shows what the filter asks for. Only the last request counts. */
  async load() {
    this.loading?.abort();
    const { signal } = (this.loading = new AbortController());
    this.showFilter();
    this.isLoading = true;
    await this.attempt(signal, async () => {
      await this.identify(signal);
      if (this.filter.q.trim()) await this.find(signal);
      else await this.list(signal);
    });
    if (!signal.aborted) this.isLoading = false;
  }

  async attempt(signal, act) {
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** A user may list only their own sessions. */
  async identify(signal) {
    if (this.role) return;
    const { role, userId } = await api.me(signal);
    this.role = role;
    if (role !== 'user') return;
    this.own = userId;
    this.userField.hidden = true;
    this.table.element.classList.add('own');
  }

  async keepFresh() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, REFRESH_INTERVAL));
      if (this.signal.aborted) return;
      const { signal } = this.loading;
      // A search is not refreshed, but repeated if it could not begin.
      if (document.hidden || this.isLoading || (this.role && this.filter.q.trim())) continue;
      if (this.role) await this.attempt(signal, () => this.list(signal, true));
      else await this.load();
    }
  }

  async list(signal, isRefresh = false) {
    const list = await api.sessions({ ...this.conditions, limit: PAGE, cursor: this.filter.cursor, include: 'lastMessage' }, signal);
    if (signal.aborted) return;
    const isFrozen = isRefresh && this.selection.ids.size > 0;
    this.showMode(false);
    this.table.show(list.sessions, { isFrozen });
    this.selection.show();
    this.showList(list);
    this.restorePlace();
  }

  showMode(isSearch) {
    this.results.showMode(isSearch);
    if (isSearch) this.pager.hidden = true;
    this.showPerson();
  }

  showList({ sessions, total, stats, nextCursor }) {
    this.next = nextCursor;
    const { agent, user, cursor } = this.filter;
    const retained = stats.expiredSessions ? `, ${count(stats.expiredSessions)} expired and retained` : '';
    const number = { active: stats.activeSessions, expired: stats.expiredSessions, all: stats.totalSessions }[this.status];
    setText(this.summary, agent || user
      ? `${plural(total, 'session')} of ${count(number)} match`
      : `${count(stats.activeSessions)} active${retained}`);
    if (sessions.length) this.setMessage();
    else this.nothing(stats);
    const page = this.cursors[0] ? 0 : this.cursors.length;
    this.pager.hidden = !nextCursor && !cursor;
    this.newer.disabled = !cursor;
    setText(this.newer, cursor && this.cursors.length === 1 ? 'Newest' : 'Newer');
    this.older.disabled = !nextCursor;
    setText(this.place, page ? `Page ${page} of ${Math.max(page, Math.ceil(total / PAGE))}` : '');
  }

  nothing(stats) {
    const { agent, user, cursor } = this.filter;
    const action = (text, changes) => h('button', { type: 'button', onclick: () => this.go(changes) }, text);
    const say = (...message) => this.setMessage(...message);
    if (cursor) return say('This page is empty', 'Its sessions have expired or were deleted.', action('Newest sessions', {}));
    if (agent || user) return say('No session matches', 'Try another agent, user or status.', action('Show all sessions', { agent: '', user: '', status: 'all' }));
    if (this.status === 'expired') return say('No expired sessions', 'Sessions that expire stay here until their retention ends, and can be read and continued.', action('Show active sessions', { status: '' }));
    if (stats.expiredSessions) return say('No active sessions', `${plural(stats.expiredSessions, 'session has', 'sessions have')} expired and can still be read.`, action('Show expired sessions', { status: 'expired' }));
    return say('No sessions yet', 'Start one here, or create one through the API. It will appear automatically.');
  }

  /** Shows a message instead of a list, or none. The same message stays, with its focused button. */
  setMessage(title = '', text = '', ...actions) {
    const key = title + text;
    if (key === this.messageKey) return;
    this.messageKey = key;
    this.message.replaceChildren(...(title ? [emptyState(title, text, ...actions.filter(Boolean))] : []));
  }

  /** The user of the filter, with what can be done with their sessions. */
  showPerson() {
    const userId = this.own ?? this.filter.user;
    this.person.hidden = !UUID.test(userId);
    if (this.person.hidden || this.shownPerson === userId) return;
    this.shownPerson = userId;
    const erase = this.own ? 'Erase everything of mine' : 'Erase everything of this user';
    this.person.replaceChildren(
      h('p', {}, this.own ? 'Your sessions' : 'Sessions of the user ', h('span', { class: 'mono' }, this.own ? '' : userId), copyId(userId, 'user id')),
      h('button', { type: 'button', class: 'danger-quiet', onclick: () => this.eraseAll(userId) }, erase));
  }

  async eraseAll(userId) {
    try {
      const deleted = await eraseUser(userId, this.own ? 'yours' : 'this user');
      if (deleted === undefined) return;
      notify(`Erased ${plural(deleted, 'session')}.`, 'good');
      lastSearch = undefined;
      this.load();
    } catch (error) {
      notify(error.message, 'bad');
    }
  }

  async find(signal) {
    await this.named;
    signal.throwIfAborted();
    const { conditions } = this;
    const key = JSON.stringify([token.get(), conditions]);
    if (lastSearch?.key !== key || !this.returning) lastSearch = { key, finders: findersOf(conditions) };
    this.setMessage();
    this.showMode(true);
    await this.results.show(lastSearch.finders, conditions.q, signal);
    this.restorePlace();
  }

  /** Shows the progress of a search. Screen readers announce it occasionally. */
  says(text, isEnd, isEmpty) {
    setText(this.summary, text);
    if (isEnd || Date.now() - this.saidAt > 2500) {
      setText(this.live, text);
      this.saidAt = Date.now();
    }
    const wider = this.isFiltered && h('button', { type: 'button', onclick: () => this.go({ status: '', agent: '', user: '' }) }, 'Search without filters');
    if (isEmpty) this.setMessage('Nothing found', 'A search finds a part of a title, of another text in the metadata or of a message, and the first or last digits of an id.', wider);
  }

  fail(error) {
    if (error.status === 0 && this.table.rows.size) return;
    if (error.status === 401) return this.showMessage('Not signed in', 'The list requires a token.', h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token'));
    if (error.status === 403) return this.showMessage('Not permitted', 'Listing all sessions requires the admin token.');
    if (error.status === 400) return this.showMessage('The filter is not valid', error.message);
    this.showMessage('The sessions cannot be shown', error.message);
  }

  showMessage(title, text, ...actions) {
    this.showMode(false);
    this.setMessage(title, text, ...actions);
    this.table.show([]);
    this.selection.show();
    this.pager.hidden = true;
    setText(this.summary, '');
  }
}
