// The search of sessions and of their messages. A call of the server examines a part of them, so that
// a search is continued until it has found enough.

import { api } from './api.js';
import { h, setText } from './dom.js';
import { inParallel } from './erase.js';
import { fullTime, nameOf, plural, short, shortTime } from './format.js';
import { oneLine, snippet, titleOf } from './text.js';

/** The most calls without a click. Each takes up to a quarter of a second. */
const MAX_CALLS = 20;
const PAGE = 25;
/** The most characters that the server searches for, in sessions and in messages. */
const MAX_SEARCHED = [100, 200];
const BUSY_PAUSES = [500, 1000, 2000, 4000];

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a search has found so far. `read(cursor, wanted, signal)` returns `{ items, nextCursor }`. */
class Finder {
  items = [];
  cursor = undefined;
  isComplete = false;
  problem = '';

  constructor(read) {
    this.read = read;
  }

  /** Finds more items, a number of them if they exist. `changed` is called after each call. */
  async more(wanted, signal, changed) {
    const goal = this.items.length + wanted;
    this.problem = '';
    for (let calls = 0; calls < MAX_CALLS && !this.isComplete && this.items.length < goal; calls += 1) {
      const { items, nextCursor } = await patiently(() => this.read(this.cursor, wanted, signal), signal);
      signal.throwIfAborted();
      this.items.push(...items);
      this.cursor = nextCursor;
      this.isComplete = !nextCursor;
      changed();
    }
  }
}

/** Repeats a call that the server refuses because of its load. */
async function patiently(act, signal) {
  for (const pause of BUSY_PAUSES) {
    try {
      return await act();
    } catch (error) {
      if (error.status !== 503 && error.status !== 429) throw error;
      await wait(pause);
      signal.throwIfAborted();
    }
  }
  return act();
}

/** What finds the sessions and the messages of a filter. */
export const findersOf = (conditions) => [sessionFinder(conditions), messageFinder(conditions)];

const sessionFinder = (parameters) => new Finder(async (cursor, limit, signal) => {
  const { sessions, nextCursor } = await api.sessions({ ...parameters, limit, cursor, include: 'lastMessage' }, signal);
  return { items: sessions, nextCursor };
});

/** Finds messages, each with its `session` if that can be found. */
function messageFinder({ q, status, agentId, userId }) {
  const known = new Map();
  return new Finder(async (cursor, limit, signal) => {
    const { messages, nextCursor } = await api.searchMessages({ query: q, agentId: agentId || undefined, userId: userId || undefined, limit, cursor }, signal);
    const unknown = new Map(messages.filter(({ sessionId }) => !known.has(sessionId)).map((message) => [message.sessionId, message]));
    await inParallel([...unknown.values()], async (message) => known.set(message.sessionId, await sessionOf(message, signal)));
    const items = messages.map((message) => ({ ...message, session: known.get(message.sessionId) }));
    return { items: items.filter(({ session }) => status === 'all' || session?.status === status), nextCursor };
  });
}

/** A session of any status, by its id. */
async function sessionOf({ sessionId, agentId, userId }, signal) {
  let cursor;
  for (let calls = 0; calls < MAX_CALLS; calls += 1) {
    const parameters = { q: sessionId, agentId, userId, status: 'all', limit: 1, cursor };
    const { sessions, nextCursor } = await patiently(() => api.sessions(parameters, signal), signal);
    if (sessions.length || !nextCursor) return sessions[0];
    cursor = nextCursor;
  }
  return undefined;
}

/** A heading, what was found, and a button that continues the search. */
class Group {
  constructor(title, content, { render, changed, fail }) {
    Object.assign(this, { render, changed });
    this.heading = h('h2', { id: `group-${title.toLowerCase()}`, tabindex: '-1' }, title);
    this.note = h('p', { class: 'muted' });
    this.button = h('button', { type: 'button', hidden: true, onclick: () => !this.isRunning && this.more().catch(fail) }, 'Search further');
    this.head = h('div', { class: 'group-head' }, this.heading, this.note);
    this.element = h('section', { class: 'group', 'aria-labelledby': this.heading.id }, this.head, content, this.button);
  }

  async more() {
    const { finder, signal } = this;
    this.isRunning = true;
    this.show();
    try {
      await finder.more(PAGE, signal, () => this.show());
    } catch (error) {
      if (signal.aborted || [400, 401, 403].includes(error.status)) throw error;
      finder.problem = `The search was interrupted. ${error.status ? error.message : 'The server does not respond.'}`;
    } finally {
      if (!signal.aborted) {
        this.isRunning = false;
        this.show();
      }
    }
  }

  show() {
    const { isRunning, finder: { items, isComplete, problem } } = this;
    this.render(items);
    const found = `${items.length} found`;
    setText(this.note, problem || (isRunning ? `Searching… ${found}` : found + (isComplete ? '' : '; the rest has not been searched yet')));
    this.button.setAttribute('aria-disabled', isRunning);
    // Its focus would be lost.
    const isFocused = this.button === document.activeElement;
    this.button.hidden = isComplete || (isRunning && !isFocused);
    if (isFocused && this.button.hidden) this.heading.focus({ preventScroll: true });
    this.changed();
  }
}

/** The results of a search, in two groups; the first is the table, which also shows lists. */
export class Results {
  /** `says(text, isEnd, isEmpty)` is called with the progress and the outcome. */
  constructor(table, selection, says, fail) {
    this.says = says;
    const changed = () => this.changed();
    this.hits = h('ol', { class: 'hits' });
    this.sessions = new Group('Conversations', [selection.element, table.element], {
      changed, fail, render: (items) => {
        table.show(items, { searched: this.text });
        selection.show();
      },
    });
    this.messages = new Group('Messages', this.hits, {
      changed, fail, render: (items) => this.hits.append(...items.slice(this.hits.childElementCount).map((item) => hit(item, this.text, table.names))),
    });
    this.groups = [this.sessions, this.messages];
    this.showMode(false);
  }

  showMode(isSearch) {
    this.sessions.head.hidden = !isSearch;
    this.sessions.element.hidden = false;
    this.messages.element.hidden = !isSearch;
    if (!isSearch) this.sessions.button.hidden = true;
  }

  /** Shows what finders have found, and searches further if they are new. */
  async show(finders, text, signal) {
    this.text = text;
    this.hits.replaceChildren();
    this.showMode(true);
    const isNew = !finders.some(({ items, cursor }) => items.length || cursor);
    this.groups.forEach((group, index) => {
      const finder = finders[index];
      const limit = MAX_SEARCHED[index];
      if ([...text].length > limit) Object.assign(finder, { isComplete: true, problem: `At most ${limit} characters can be searched for.` });
      Object.assign(group, { finder, signal, isRunning: isNew && !finder.isComplete });
    });
    for (const group of this.groups) group.show();
    await Promise.all(this.groups.filter(({ isRunning }) => isRunning).map((group) => group.more()));
  }

  /** Leaves out deleted sessions and their messages. */
  forget(ids) {
    this.hits.replaceChildren();
    for (const group of this.groups) {
      group.finder.items = group.finder.items.filter(({ sessionId }) => !ids.includes(sessionId));
      group.show();
    }
  }

  changed() {
    const finders = this.groups.map(({ finder }) => finder);
    const [sessions, messages] = finders.map(({ items }) => items.length);
    if (this.groups.some(({ isRunning }) => isRunning)) return this.says(`Searching… ${plural(sessions + messages, 'result')} so far`, false);
    const isComplete = finders.every((finder) => finder.isComplete);
    const isEmpty = isComplete && !finders.some(({ items, problem }) => items.length || problem);
    for (const group of this.groups) group.element.hidden = isEmpty;
    const end = isComplete ? 'Everything was searched.' : 'Not everything has been searched yet.';
    this.says(`${plural(sessions, 'conversation')} and ${plural(messages, 'message')} found. ${end}`, true, isEmpty);
  }
}

/** A found message: its session, and the text around the match. */
function hit(message, searched, names) {
  const { id, sessionId, agentId, userId, createdAt, isAgent, content, session, metadata } = message;
  const title = session && titleOf(session);
  const agent = oneLine(names.get(agentId) ?? short(agentId), 80);
  const user = oneLine(nameOf(session ?? { metadata }) ?? short(userId), 80);
  const href = `#/sessions/${sessionId}?${new URLSearchParams({ message: id, at: createdAt })}`;
  return h('li', { class: 'hit' },
    h('p', { class: 'hit-head' },
      h('a', { class: 'row-link clip', href, dir: 'auto' }, title || `Untitled ${short(sessionId)}`),
      session?.status === 'expired' && h('span', { class: 'chip', 'data-state': 'expired' }, 'Expired'),
      h('time', { class: 'muted', datetime: createdAt, title: fullTime(createdAt) }, shortTime(createdAt))),
    h('p', { class: 'snippet', dir: 'auto' }, snippet(content, searched)),
    h('p', { class: 'muted by-line' }, 'From ', h('bdi', {}, isAgent ? agent : user), ' to ', h('bdi', {}, isAgent ? user : agent)));
}
