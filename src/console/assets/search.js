// The search of sessions and of their messages. A call of the server examines a part of them, so that
// a search is continued until it has found enough.

import { client, token } from './api.js';
import { button, h, setText, timeElement } from './dom.js';
import { inParallel } from './erase.js';
import { nameOf, plural, short, shortTime } from './format.js';
import { copyId } from './table.js';
import { oneLine, snippet, titleOf } from './text.js';

/** The most calls without a click. Each takes up to a quarter of a second. */
const MAX_CALLS = 20;
const PAGE = 25;
/** An overloaded server refuses searches for a while. */
const RETRIES = 5;

/** The last search and what it has found, to which Back returns. */
let last;

async function readSessions(conditions, cursor, options) {
  const { sessions, nextCursor } = await client.listSessions({ ...conditions, limit: PAGE, cursor, include: 'lastMessage' }, options);
  return { items: sessions, nextCursor };
}

/** Reads messages, each with its `session` if that can be found. */
async function readMessages({ q, status, agentId, userId }, cursor, options) {
  const { messages, nextCursor } = await client.search({ query: q, agentId, userId, limit: PAGE, cursor }, options);
  const sessions = new Map(messages.map((message) => [message.sessionId, message]));
  await inParallel([...sessions.values()], async (message) => sessions.set(message.sessionId, await sessionOf(message, options)));
  const items = messages.map((message) => ({ ...message, session: sessions.get(message.sessionId) }));
  return { items: items.filter(({ session }) => status === 'all' || session?.status === status), nextCursor };
}

/** A session of any status, by its id. */
async function sessionOf({ sessionId, agentId, userId }, options) {
  let cursor;
  for (let calls = 0; calls < MAX_CALLS; calls += 1) {
    const parameters = { q: sessionId, agentId, userId, status: 'all', limit: 1, cursor };
    const { sessions, nextCursor } = await client.listSessions(parameters, options);
    if (sessions.length || !nextCursor) return sessions[0];
    cursor = nextCursor;
  }
  return undefined;
}

/** A heading, what was found, and a button that continues the search. */
class Group {
  /** `read` calls the server, which searches for at most `most` characters; `render` shows items. */
  constructor(title, content, { most, read, render, results }) {
    Object.assign(this, { most, read, render, results });
    this.heading = h('h2', { tabindex: '-1' }, title);
    this.note = h('p', { class: 'muted' });
    this.head = h('div', { class: 'group-head' }, this.heading, this.note);
    this.button = button('Search further', () => !this.isRunning && this.more().catch(results.fail));
    this.element = h('section', { class: 'group', 'aria-label': title }, this.head, content, this.button);
  }

  /** Takes what was found before; if that is nothing, it must be searched. */
  take(found, signal) {
    if ([...this.results.searched].length > this.most) Object.assign(found, { isComplete: true, problem: `At most ${this.most} characters can be searched for.` });
    Object.assign(this, { found, signal, isRunning: !found.isComplete && !found.cursor });
  }

  /** Finds a page more, as far as the calls suffice. */
  async more() {
    const { found, signal } = this;
    const goal = found.items.length + PAGE;
    found.problem = '';
    this.isRunning = true;
    try {
      for (let calls = 0; calls < MAX_CALLS && !found.isComplete && found.items.length < goal; calls += 1) {
        this.show();
        const { items, nextCursor } = await this.read(this.results.conditions, found.cursor, { signal, retries: RETRIES });
        signal.throwIfAborted();
        found.items.push(...items);
        Object.assign(found, { cursor: nextCursor, isComplete: !nextCursor });
      }
    } catch (error) {
      if (signal.aborted || [400, 401, 403].includes(error.status)) throw error;
      found.problem = `The search was interrupted. ${error.status ? error.message : 'The server does not respond.'}`;
    }
    this.isRunning = false;
    this.show();
  }

  show() {
    const { isRunning, found: { items, isComplete, problem } } = this;
    this.render(items);
    const number = `${items.length} found`;
    setText(this.note, problem || (isRunning ? `Searching… ${number}` : number + (isComplete ? '' : '; the rest has not been searched yet')));
    this.button.setAttribute('aria-disabled', isRunning);
    // Its focus would be lost.
    if (isComplete && this.button === document.activeElement) this.heading.focus({ preventScroll: true });
    this.button.hidden = isComplete;
    this.results.changed();
  }
}

/** The results of a search, in two groups; the first is the table, which also shows lists. */
export class Results {
  /** `says(text, isEnd, isEmpty)` is called with the progress and the outcome. */
  constructor(table, selection, says, fail) {
    Object.assign(this, { says, fail });
    this.hits = h('ol', { class: 'hits' });
    const showSessions = (items) => {
      table.show(items, { searched: this.searched });
      selection.show();
    };
    const showMessages = (items) => this.hits.append(...items.slice(this.hits.childElementCount).map((item) => hit(item, this.searched, table.names)));
    this.groups = [
      new Group('Conversations', [selection.element, table.element], { most: 100, read: readSessions, render: showSessions, results: this }),
      new Group('Messages', this.hits, { most: 200, read: readMessages, render: showMessages, results: this }),
    ];
  }

  /** Ends the search, and shows a list instead. */
  end() {
    last = undefined;
    const [{ element, head, button: further }, messages] = this.groups;
    element.hidden = false;
    for (const part of [head, further, messages.element]) part.hidden = true;
  }

  /** Searches, or shows what the same search has found before if the user returns to it. */
  async search(conditions, isReturning, signal) {
    const key = JSON.stringify([token.get(), conditions]);
    if (!isReturning || last?.key !== key) last = { key, found: this.groups.map(() => ({ items: [] })) };
    this.conditions = conditions;
    this.searched = conditions.q;
    this.hits.replaceChildren();
    this.groups.forEach((group, index) => group.take(last.found[index], signal));
    for (const group of this.groups) {
      for (const part of [group.head, group.element]) part.hidden = false;
      group.show();
    }
    await Promise.all(this.groups.filter(({ isRunning }) => isRunning).map((group) => group.more()));
  }

  changed() {
    const found = this.groups.map((group) => group.found);
    const [sessions, messages] = found.map(({ items }) => items.length);
    if (this.groups.some(({ isRunning }) => isRunning)) return this.says(`Searching… ${plural(sessions + messages, 'result')} so far`);
    const isComplete = found.every((each) => each.isComplete);
    const isEmpty = isComplete && !found.some(({ items, problem }) => items.length || problem);
    for (const { element } of this.groups) element.hidden = isEmpty;
    const end = isComplete ? 'Everything was searched.' : 'Not everything has been searched yet.';
    return this.says(`${plural(sessions, 'conversation')} and ${plural(messages, 'message')} found. ${end}`, true, isEmpty);
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
      copyId(sessionId, 'session id'),
      session?.status === 'expired' && h('span', { class: 'chip', 'data-state': 'expired' }, 'Expired'),
      timeElement(createdAt, shortTime(createdAt), 'muted')),
    h('p', { class: 'snippet', dir: 'auto' }, snippet(content, searched)),
    h('p', { class: 'muted by-line' }, 'From ', h('bdi', {}, isAgent ? agent : user), ' to ', h('bdi', {}, isAgent ? user : agent)));
}
