// One session: its conversation, its details and its actions.

import { api, namesOfAgents, reopenTokenPrompt } from './api.js';
import { Conversation } from './conversation.js';
import { Countdown } from './countdown.js';
import { changeTimeout, confirmDelete } from './dialogs.js';
import { download, emptyState, h, notify, setText } from './dom.js';
import { subscribe } from './live.js';
import { count, fullTime, nameOf, short } from './format.js';

const PAGE = 50;

export function sessionView(id, signal, parameters) {
  return new SessionPage(id, signal).element;
}

class SessionPage {
  isOver = false;

  constructor(id, signal) {
    this.id = id;
    this.signal = signal;
    this.element = h('div', { class: 'view' }, h('p', { class: 'loading', role: 'status' }, 'Loading the session'));
    signal.addEventListener('abort', () => this.leave());
    this.open();
  }

  leave() {
    this.unsubscribe?.();
    this.countdown?.stop();
  }

  async open() {
    try {
      this.session = await api.session(this.id, this.signal);
    } catch (error) {
      if (!this.signal.aborted) await this.openFailed(error);
      return;
    }
    const page = await this.firstPage(api.messages);
    if (this.signal.aborted) return;
    this.build();
    this.conversation.userName = nameOf(this.session) ?? 'User';
    this.conversation.show(page);
    this.nameAgent();
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
      setTimeout(() => !this.signal.aborted && this.open(), 2000);
      return;
    }
    if (error.status === 401) {
      const prompt = h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token');
      return this.showMessage('Not signed in', 'This session requires a token.', prompt);
    }
    if (error.status !== 410) {
      return this.showMessage('Session not found', 'It was deleted, is no longer retained, or is not visible with this token.');
    }
    this.isOver = true;
    let page = { messages: [], hasMore: false };
    let isReadable = true;
    try {
      page = await this.firstPage(api.transcript);
    } catch {
      isReadable = false;
    }
    if (this.signal.aborted) return;
    this.expiredAt = error.details.expiresAt;
    this.build();
    this.conversation.show(page);
    this.close('expired', isReadable
      ? `This session expired on ${fullTime(this.expiredAt)}. Its messages are retained for a while.`
      : `This session expired on ${fullTime(this.expiredAt)}. Its transcript requires the admin token.`);
  }

  showMessage(title, text, action = h('a', { href: '#/' }, 'All sessions')) {
    this.element.replaceChildren(emptyState(title, text, action));
  }

  firstPage(read) {
    this.read = (parameters) => read(this.id, parameters, this.signal);
    return this.read({ limit: PAGE });
  }

  build() {
    this.title = h('h1', { class: 'clip' }, 'Session');
    this.chip = h('span', { class: 'chip' }, 'Active');
    this.conversation = new Conversation(this.id, {
      earlier: (before) => this.read({ limit: PAGE, before }),
      sent: (status) => this.take({ ...this.session, ...status, timeRemaining: new Date(status.expiresAt) - Date.now() }),
    });
    const action = (text, act, kind = '') => h('button', { type: 'button', class: kind, onclick: act }, text);
    this.living = [action('Renew', () => this.renew()), action('Change timeout', () => this.patch())];
    this.actions = h('div', { class: 'actions' }, ...this.living,
      action('Export', () => this.export()), action('Delete', () => this.remove(), 'danger-quiet'));
    this.facts = h('dl', { class: 'facts' });
    const head = [h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Sessions')), h('div', { class: 'title-line' }, this.title, this.chip)];
    if (this.session) {
      this.countdown = new Countdown(this.session, { ended: () => this.runOut() });
      head.push(this.countdown.element);
    }
    this.element.replaceChildren(
      h('div', { class: 'view-head session-head' }, h('div', { class: 'grow' }, ...head), this.actions),
      h('div', { class: 'columns' },
        this.conversation.element,
        h('aside', { class: 'card', 'aria-label': 'About this session' }, h('h2', {}, 'About this session'), this.facts)));
    if (this.session) this.take(this.session);
    else this.showFacts([['Session', this.id, 'mono'], ['Expired', fullTime(this.expiredAt)]]);
  }

  async nameAgent() {
    try {
      const name = (await namesOfAgents()).get(this.session.agentId);
      this.agentName = name ?? short(this.session.agentId);
      setText(this.title, name ?? 'Removed agent');
      document.title = `${this.agentName} · sessiond`;
      this.conversation.nameAgent(this.agentName);
      this.take(this.session);
    } catch {
      // The page works without the name.
    }
  }

  /** Shows the session as the server reports it. */
  take(session) {
    this.session = session;
    this.countdown.take(session);
    const { timeoutConfig: times } = session;
    this.showFacts([
      ['Session', session.sessionId, 'mono'],
      ['Agent', this.agentName ?? session.agentId],
      ['User', session.userId, 'mono'],
      ['Created', fullTime(session.createdAt)],
      ['Last activity', fullTime(session.lastActivity)],
      ['Expires', fullTime(session.expiresAt)],
      ['Renewed', session.renewalCount === 1 ? 'once' : `${count(session.renewalCount)} times`],
      ['Timeout', `${count(times.timeoutMinutes)} min, maximum duration ${count(times.maxDurationMinutes)} min`],
      ['Warning', `${count(times.warningThresholdMinutes)} min before expiration`],
      ['Renewal', times.autoRenew ? 'automatic' : 'manual only'],
      ['Metadata', JSON.stringify(session.metadata, undefined, 2), 'code'],
    ]);
    if (!this.isOver) this.mark(session.isNearExpiration ? 'near' : 'active');
  }

  showFacts(facts) {
    const shown = JSON.stringify(facts);
    if (shown === this.shownFacts) return;
    this.shownFacts = shown;
    this.facts.replaceChildren(...facts.map(([name, value, kind]) => h('div', {},
      h('dt', {}, name),
      h('dd', { class: kind === 'mono' ? 'mono' : undefined }, kind === 'code' ? h('pre', { tabindex: '0', 'aria-label': name }, value) : value))));
  }

  mark(state) {
    const words = { active: 'Active', near: 'Expiring soon', expired: 'Expired', deleted: 'Deleted' };
    this.chip.dataset.state = state;
    setText(this.chip, words[state]);
  }

  handle(name, data) {
    if (this.conversation.handle(name, data)) return;
    if (name === 'state') {
      this.refresh();
    } else if (name === 'sessionRenewed') {
      this.refresh();
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
    this.close('expired', 'This session has expired. Its messages are retained for a while.');
  }

  /** Handles the end of the events. */
  ended(error) {
    if (!error) return;
    if (error.status === 410) this.runOut();
    else if (error.status === 404) this.close('deleted', 'This session no longer exists.');
  }

  close(state, text) {
    this.isOver = true;
    this.mark(state);
    this.countdown?.stop();
    for (const button of this.living) button.disabled = true;
    if (state === 'deleted') for (const button of this.actions.children) button.disabled = true;
    this.conversation.close(text);
  }

  async renew() {
    await this.attempt(async () => {
      this.take(await api.renew(this.id));
      notify('Renewed.', 'good');
    });
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

  async attempt(act) {
    try {
      await act();
    } catch (error) {
      notify(error.message, 'bad');
    }
  }

  /** Downloads the lines that `sessiond import` reads. */
  async export() {
    await this.attempt(async () => {
      download(`session-${this.id}.jsonl`, await api.export(this.id), 'application/x-ndjson');
    });
  }
}
