// The sessions, newest first: filtered, paged, and refreshed in the background; or a search of them and
// of their messages. What is shown is in the URL.

import { SessiondError, client, namesOfAgents } from './api.js';
import { field, inWords, startConversation } from './dialogs.js';
import { button, h, notify, setText, slowButton } from './dom.js';
import { eraseUser } from './erase.js';
import { count, plural, short } from './format.js';
import { identity } from './identity.js';
import { Results } from './search.js';
import { Selection } from './selection.js';
import { SessionTable, copyId } from './table.js';
import { oneLine } from './text.js';
import { View } from './view.js';

const PAGE = 25;
const REFRESH_INTERVAL = 3000;
/** How long typing pauses before a search begins. */
const TYPING_PAUSE = 300;
const FILTERS = ['q', 'status', 'agent', 'user', 'cursor'];
const STATUSES = { active: 'Active', expired: 'Expired', all: 'All' };
const UNFILTERED = { status: '', agent: '', user: '' };

export const sessionsView = (signal, parameters) => new Sessions(signal, parameters).element;

class Sessions extends View {
  /** Whether the server has not answered yet. */
  isUnanswered = true;

  constructor(signal, parameters) {
    super('Sessions', 'The sessions', signal);
    this.filter = Object.fromEntries(FILTERS.map((name) => [name, (parameters.get(name) ?? '').trim()]));
    this.returning = history.state;
    /** The cursors of the previous pages, as far as they are known, and of this one. */
    this.cursors = this.returning?.cursors ?? [this.filter.cursor];
    this.build();
    this.showFilter();
    this.named = this.nameAgents();
    const ticking = setInterval(() => !document.hidden && this.table.tick(), 1000);
    signal.addEventListener('abort', () => {
      this.loading.abort();
      clearInterval(ticking);
      clearTimeout(this.typing);
    });
    addEventListener('scrollend', () => this.savePlace(), { signal });
    this.element.addEventListener('click', ({ target }) => this.savePlace(target.closest('a')?.getAttribute('href')));
    this.keepFresh(REFRESH_INTERVAL);
  }

  build() {
    this.head.append(slowButton('Start a conversation', () => this.start(), { class: 'primary' }));
    this.table = new SessionTable((user) => this.go({ user }));
    this.selection = new Selection(this.table, () => this.load());
    this.results = new Results(this.table, this.selection, (...outcome) => this.found(...outcome), (error) => this.fail(error));
    this.newer = button('Newer', () => this.turn(this.cursors.slice(0, -1)));
    this.older = button('Older', () => this.turn([...this.cursors, this.next]));
    this.place = h('p', { class: 'muted' });
    this.pager = h('nav', { class: 'pager', 'aria-label': 'Pages' }, this.newer, this.place, this.older);
    this.person = h('div', { class: 'person' });
    this.live = h('p', { class: 'hidden', role: 'status' });
    this.message.before(this.filters(), this.live);
    this.content.append(this.person, ...this.results.groups.map(({ element }) => element), this.pager);
  }

  filters() {
    const text = { spellcheck: 'false', autocomplete: 'off' };
    this.search = h('input', {
      ...text, type: 'search', enterkeyhint: 'search', dir: 'auto', placeholder: 'Titles, users, ids and messages',
      oninput: () => this.typed(),
    });
    this.agent = h('select', { onchange: () => this.go({ agent: this.agent.value }) });
    this.user = h('input', { ...text, name: 'userId', class: 'mono', placeholder: 'All users', onchange: () => this.go({ user: this.user.value.trim() }) });
    this.userField = field('User', this.user, '', 'grow');
    this.statuses = Object.keys(STATUSES).map((value) => h('input', { type: 'radio', name: 'shown', value, onchange: () => this.choose(value) }));
    this.clear = button('Clear filters', () => this.go({ ...UNFILTERED, q: '' }), 'quiet');
    this.form = h('form', { class: 'filters', role: 'search', onsubmit: (event) => event.preventDefault() },
      field('Search', this.search, '', 'search'),
      h('fieldset', { class: 'field' }, h('legend', {}, 'Status'),
        h('div', { class: 'segments' }, this.statuses.map((input) => h('label', {}, input, h('span', {}, STATUSES[input.value]))))),
      field('Agent', this.agent), this.userField, this.clear);
    return this.form;
  }

  async nameAgents() {
    this.table.nameAgents(await namesOfAgents().catch(() => new Map()));
    this.showAgents();
  }

  showAgents() {
    const { agent } = this.filter;
    const names = new Map([['', 'All agents'], ...this.table.names]);
    if (!names.has(agent)) names.set(agent, '');
    this.agent.replaceChildren(...Array.from(names, ([value, name]) => h('option', { value, selected: value === agent }, oneLine(name, 40) || short(value))));
  }

  async start() {
    const session = await startConversation();
    if (session && !this.signal.aborted) location.hash = `#/sessions/${session.sessionId}`;
  }

  /** A search finds sessions of all statuses, unless one was chosen. */
  get usualStatus() {
    return this.filter.q ? 'all' : 'active';
  }

  get status() {
    return this.filter.status || this.usualStatus;
  }

  choose(status) {
    this.go({ status: status === this.usualStatus ? '' : status });
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.go({ q: this.search.value.trim() }, { isTyping: true }), TYPING_PAUSE);
  }

  turn(cursors) {
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
    this.showFilter();
    this.load();
  }

  /** Remembers in the history where the view is scrolled to, and the link that leaves it. */
  savePlace(link = history.state?.link) {
    history.replaceState({ ...history.state, cursors: this.cursors, scroll: scrollY, link }, '');
  }

  /** Returns to the place that was left, once it is shown. */
  restorePlace() {
    const { scroll, link } = this.returning ?? {};
    this.returning = undefined;
    if (scroll) scrollTo(0, scroll);
    const isFree = document.activeElement === document.body || document.activeElement.id === 'main';
    if (link && isFree) [...this.element.querySelectorAll('a.row-link')].find((a) => a.getAttribute('href') === link)?.focus({ preventScroll: true });
  }

  showFilter() {
    const { q, agent, user, status } = this.filter;
    if (this.search.value.trim() !== q) this.search.value = q;
    this.user.value = user;
    for (const radio of this.statuses) radio.checked = radio.value === this.status;
    this.clear.hidden = !(agent || user || status);
    this.showAgents();
  }

  /** A search is not refreshed, but repeated if it could not begin. */
  async refresh() {
    if (!this.isLoading && (this.isUnanswered || !this.filter.q)) await this.load(true);
  }

  /** Shows what the filter asks for. Only the last request counts. */
  async load(isRefresh = false) {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    this.isLoading = true;
    try {
      await this.request(loading.signal, isRefresh);
      this.isUnanswered = false;
    } catch (error) {
      if (loading.signal.aborted) return;
      // The other part of a search would say the same.
      loading.abort();
      this.isUnanswered = !error.status;
      this.fail({ status: error.status, message: inWords(error.message, this.form) });
    }
    if (this.loading === loading) this.isLoading = false;
  }

  async request(signal, isRefresh) {
    const { role, userId, isAdmin } = await identity();
    if (role !== 'user' && !isAdmin) throw new SessiondError('', { status: 403 });
    this.showPerson(role === 'user', userId ?? this.filter.user);
    const { q, agent, user, cursor } = this.filter;
    const conditions = { q: q || undefined, status: this.status, agentId: agent || undefined, userId: (userId ?? user) || undefined };
    if (q) {
      await this.named;
      signal.throwIfAborted();
      this.show();
      this.pager.hidden = true;
      setText(this.live, 'Searching…');
      await this.results.search(conditions, this.returning, signal);
    } else {
      const list = await client.listSessions({ ...conditions, limit: PAGE, cursor: cursor || undefined, include: 'lastMessage' }, { signal });
      signal.throwIfAborted();
      this.results.end();
      this.table.show(list.sessions, { isFrozen: isRefresh && this.selection.ids.size > 0 });
      this.selection.show();
      this.showList(list);
    }
    this.restorePlace();
  }

  showList({ sessions, total, stats, nextCursor }) {
    this.next = nextCursor;
    const { agent, user, cursor } = this.filter;
    const { activeSessions: active, expiredSessions: expired, totalSessions: all } = stats;
    setText(this.summary, agent || user
      ? `${plural(total, 'session')} of ${count({ active, expired, all }[this.status])} match`
      : `${count(active)} active${expired ? `, ${count(expired)} expired and retained` : ''}`);
    this.show(...(sessions.length ? [] : this.nothing(expired)));
    const page = this.cursors[0] ? 0 : this.cursors.length;
    this.pager.hidden = !nextCursor && !cursor;
    this.newer.disabled = !cursor;
    setText(this.newer, cursor && this.cursors.length === 1 ? 'Newest' : 'Newer');
    this.older.disabled = !nextCursor;
    setText(this.place, page ? `Page ${page} of ${Math.max(page, Math.ceil(total / PAGE))}` : '');
  }

  /** What is said instead of an empty list, and what helps. */
  nothing(expired) {
    const { agent, user, cursor } = this.filter;
    const action = (text, changes) => button(text, () => this.go(changes));
    if (cursor) return ['This page is empty', 'Its sessions have expired or were deleted.', action('Newest sessions', {})];
    if (agent || user) return ['No session matches', 'Try another agent, user or status.', action('Show all sessions', { ...UNFILTERED, status: 'all' })];
    if (this.status === 'expired') return ['No expired sessions', 'Sessions that expire stay here until their retention ends, and can be read and continued.', action('Show active sessions', UNFILTERED)];
    if (expired) return ['No active sessions', `${plural(expired, 'session has', 'sessions have')} expired and can still be read.`, action('Show expired sessions', { status: 'expired' })];
    return ['No sessions yet', 'Start one here, or create one through the API. It will appear automatically.'];
  }

  /** The user of the filter, with what can be done with their sessions. */
  showPerson(isOwn, userId) {
    this.person.hidden = !userId;
    this.userField.hidden = isOwn;
    this.table.element.classList.toggle('own', isOwn);
    if (this.shownPerson === userId) return;
    this.shownPerson = userId;
    this.person.replaceChildren(
      h('p', {}, isOwn ? 'Your sessions' : ['Sessions of the user ', h('span', { class: 'mono' }, userId)], copyId(userId, 'user id')),
      slowButton(`Erase everything of ${isOwn ? 'mine' : 'this user'}`, () => this.erase(userId, isOwn ? 'yours' : 'this user'), { class: 'danger-quiet' }));
  }

  async erase(userId, whose) {
    const deleted = await eraseUser(userId, whose);
    if (deleted === undefined) return;
    notify(`Erased ${plural(deleted, 'session')}.`, 'good');
    this.load();
  }

  /** Shows the progress of a search. Screen readers announce the outcome. */
  found(text, isEnd, isEmpty) {
    setText(this.summary, text);
    if (isEnd) setText(this.live, text);
    if (isEmpty) this.say('Nothing found', 'A search finds a part of a title, of another text in the metadata or of a message, and the first or last digits of an id.',
      !this.clear.hidden && button('Search without filters', () => this.go(UNFILTERED)));
  }
}
