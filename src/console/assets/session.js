// One session: its conversation, its details and its actions.

import { api, namesOfAgents, reopenTokenPrompt } from './api.js';
import { Conversation } from './conversation.js';
import { Countdown } from './countdown.js';
import { changeTimeout, confirmDelete } from './dialogs.js';
import { download, emptyState, h, notify, setText } from './dom.js';
import { showFacts } from './facts.js';
import { identity } from './identity.js';
import { subscribe } from './live.js';
import { fullTime, nameOf, short } from './format.js';
import { continueSession } from './sending.js';
import { Title } from './title.js';

const PAGE = 50;
/** The number of pages of a search in which an expired session is looked for. */
const MAX_PAGES = 40;
const STATES = { active: 'Active', near: 'Expiring soon', expired: 'Expired', deleted: 'Deleted' };

export function sessionView(id, signal, parameters) {
  return new SessionPage(id, signal, parameters).element;
}

class SessionPage {
  isOver = false;

  constructor(id, signal, parameters) {
    this.id = id;
    this.signal = signal;
    const message = parameters?.get('message');
    this.found = message ? { id: message, at: timeOf(parameters.get('at')) } : undefined;
    this.element = h('div', { class: 'view' }, h('p', { class: 'loading', role: 'status' }, 'Loading the session'));
    signal.addEventListener('abort', () => this.leave());
    this.load();
  }

  leave() {
    this.unsubscribe?.();
    this.countdown?.stop();
  }

  async load() {
    try {
      await this.open();
    } catch (error) {
      if (!this.signal.aborted) await this.openFailed(error);
    }
  }

  async open() {
    this.session = await api.session(this.id, this.signal);
    const page = await this.firstPage(api.messages);
    if (this.signal.aborted) return;
    this.build();
    this.nameAgent();
    await this.conversation.open(page, this.found);
    if (this.signal.aborted) return;
    this.unsubscribe = subscribe(this.id, page.cursors?.after ?? 0, {
      event: (name, data) => this.handle(name, data),
      state: (state) => this.conversation.connection(state),
      end: (error) => this.ended(error),
    });
  }

  /** Shows an expired session, which can be read for a while, or why there is none. */
  async openFailed(error) {
    if (error.status === 0) {
      this.showMessage('The server does not respond', 'This page will load as soon as it does.');
      setTimeout(() => !this.signal.aborted && this.load(), 2000);
      return;
    }
    if (error.status === 401) {
      const prompt = h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token');
      return this.showMessage('Not signed in', 'This session requires a token.', prompt);
    }
    if (error.status === 410) return this.openExpired(error.details.expiresAt);
    if (error.status !== 404) return this.showMessage('The session cannot be shown', error.message);
    this.showMessage('Session not found', 'It was deleted, is no longer retained, or is not visible with this token.');
  }

  async openExpired(expiresAt) {
    this.isOver = true;
    const [page, session] = await Promise.all([
      this.firstPage(api.transcript).catch(() => undefined),
      this.findExpired().catch(() => undefined),
    ]);
    if (this.signal.aborted) return;
    this.session = session;
    this.expiresAt = expiresAt;
    this.build();
    this.close('expired', page
      ? `This session expired on ${fullTime(expiresAt)}. Its messages are retained for a while.`
      : `This session expired on ${fullTime(expiresAt)}. Its transcript requires the admin token.`);
    if (session) this.nameAgent();
    await this.conversation.open(page ?? { messages: [], hasMore: false }, this.found);
  }

  /** An expired session's details, which only the list has. */
  async findExpired() {
    const { role, userId } = await api.me(this.signal);
    const filter = { q: this.id, status: 'expired', limit: 1, userId: role === 'user' ? userId : undefined };
    let cursor;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { sessions, nextCursor } = await api.sessions({ ...filter, cursor }, this.signal);
      if (sessions.length || !nextCursor) return sessions[0];
      cursor = nextCursor;
    }
    return undefined;
  }

  showMessage(title, text, action = h('a', { href: '#/' }, 'All sessions')) {
    this.element.replaceChildren(h('h1', { class: 'hidden' }, 'Session'), emptyState(title, text, action));
  }

  firstPage(read) {
    this.reader = read;
    this.read = (parameters) => this.reader(this.id, parameters, this.signal);
    return this.read({ limit: PAGE });
  }

  build() {
    this.title = new Title((title) => this.rename(title));
    this.agent = h('span', { dir: 'auto' });
    this.chip = h('span', { class: 'chip' }, 'Active');
    this.conversation = new Conversation(this.id, {
      read: this.read,
      session: () => this.session,
      sent: (status) => this.take({ ...this.session, ...status, timeRemaining: new Date(status.expiresAt) - Date.now() }),
      signal: this.signal,
    });
    const action = (text, act, kind = '') => h('button', { type: 'button', class: kind, onclick: () => this.attempt(act) }, text);
    this.living = [action('Renew', () => this.renew()), action('Change timeout', () => this.patch())];
    const exporting = action('Export', () => this.export());
    exporting.hidden = true;
    identity().then(({ isAdmin }) => { exporting.hidden = !isAdmin; }, () => {});
    this.actions = h('div', { class: 'actions' }, ...this.living, exporting, action('Delete', () => this.remove(), 'danger-quiet'));
    this.facts = h('dl', { class: 'facts' });
    const crumb = h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Sessions'), this.agent);
    const head = [crumb, h('div', { class: 'title-line' }, this.title.element, this.chip)];
    if (this.session && !this.isOver) {
      this.countdown = new Countdown(this.session, { ended: () => this.runOut() });
      head.push(this.countdown.element);
    }
    this.element.replaceChildren(
      h('div', { class: 'view-head session-head' }, h('div', { class: 'grow' }, ...head), this.actions),
      h('div', { class: 'columns' },
        this.conversation.element,
        h('aside', { class: 'card', 'aria-label': 'About this session' }, h('h2', {}, 'About this session'), this.facts)));
    this.show(this.session ?? { sessionId: this.id, expiresAt: this.expiresAt });
  }

  async nameAgent() {
    try {
      const name = (await namesOfAgents()).get(this.session.agentId);
      this.agentName = name ?? short(this.session.agentId);
      this.isRemoved = !name;
      this.conversation.nameAgent(this.agentName);
      this.show(this.session);
    } catch {
      // The page works without the name.
    }
  }

  /** Shows the session as the server reports it. */
  take(session) {
    this.session = session;
    this.countdown.take(session);
    this.show(session);
  }

  show(session) {
    showFacts(this.facts, session, this.isRemoved ? undefined : this.agentName ?? session.agentId);
    this.showTitle(session);
    if (session.metadata) this.conversation.userName = nameOf(session) ?? 'User';
    if (!this.isOver) this.mark(session.isNearExpiration ? 'near' : 'active');
  }

  showTitle({ metadata }) {
    const title = typeof metadata?.title === 'string' ? metadata.title.trim() : '';
    const name = this.isRemoved ? 'Removed agent' : this.agentName ?? 'Session';
    this.title.show(title, name);
    setText(this.agent, title && this.agentName ? ` / ${name}` : '');
    if (this.agentName) document.title = `${title || this.agentName} · sessiond`;
  }

  mark(state) {
    this.chip.dataset.state = state;
    setText(this.chip, STATES[state]);
  }

  handle(name, data) {
    if (this.conversation.handle(name, data)) return;
    if (name === 'state' || name === 'sessionRenewed') {
      this.refresh();
    } else if (name === 'sessionUpdated') {
      this.session = { ...this.session, metadata: data.metadata };
      this.show(this.session);
    } else if (name === 'sessionExpirationWarning') {
      this.countdown.warn();
      this.mark('near');
      notify('This session expires soon.', 'warn');
    } else if (name === 'sessionExpired') {
      this.runOut();
    } else if (name === 'channelDeleted') {
      this.close('deleted', 'This session and its messages were deleted.');
    }
  }

  async refresh() {
    try {
      this.take(await api.session(this.id, this.signal));
    } catch {
      // The stream reports what has happened.
    }
  }

  runOut() {
    if (this.isOver) return;
    this.countdown.finish();
    // From now on, only the transcript is readable.
    this.reader = api.transcript;
    this.close('expired', 'This session has expired. Its messages are retained for a while.');
  }

  ended(error) {
    if (!error) return;
    if (error.status === 410) this.runOut();
    else if (error.status === 404) this.close('deleted', 'This session no longer exists.');
  }

  close(state, text) {
    this.isOver = true;
    this.mark(state);
    this.countdown?.stop();
    this.title.freeze();
    for (const button of this.living) button.disabled = true;
    if (state === 'deleted') for (const button of this.actions.children) button.disabled = true;
    const canContinue = state === 'expired' && this.session !== undefined;
    const proceed = h('button', { type: 'button', class: 'primary', onclick: () => this.proceed(proceed) }, 'Continue');
    this.conversation.close(text, canContinue, ...(canContinue ? [proceed] : []));
  }

  async proceed(button) {
    button.disabled = true;
    await this.attempt(() => continueSession(this.session));
    button.disabled = false;
  }

  async rename(title) {
    return this.attempt(async () => {
      this.take(await api.update(this.id, { metadata: { title: title || null } }));
      return true;
    });
  }

  async renew() {
    this.take(await api.renew(this.id));
    notify('Renewed.', 'good');
  }

  async patch() {
    const changed = await changeTimeout(this.session);
    if (!changed) return;
    this.take(changed);
    notify('Timeout changed.', 'good');
  }

  async remove() {
    if (!(await confirmDelete(this.id))) return;
    notify('Deleted.', 'good');
    location.hash = '#/';
  }

  async export() {
    download(`session-${this.id}.jsonl`, await api.export(this.id), 'application/x-ndjson');
  }

  async attempt(act) {
    try {
      return await act();
    } catch (error) {
      notify(error.message, 'bad');
      return undefined;
    }
  }
}

/** A time in milliseconds, from either form in which the API takes one. */
function timeOf(text) {
  const ms = /^\d+$/.test(text ?? '') ? Number(text) : Date.parse(text ?? '');
  return Number.isFinite(ms) ? ms : undefined;
}
