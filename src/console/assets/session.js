// One session: what was said, what is known of it, and what can be done with it.

import { api, askForTokenAgain, namesOfAgents } from './api.js';
import { Conversation } from './conversation.js';
import { Countdown } from './countdown.js';
import { changeTimeout, confirmDelete } from './dialogs.js';
import { download, emptyState, h, notify, setText } from './dom.js';
import { follow } from './live.js';
import { count, fullTime, nameOf, short } from './words.js';

const PAGE = 50;

export function sessionView(id, signal) {
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
    this.unfollow?.();
    this.countdown?.stop();
  }

  async open() {
    try {
      this.session = await api.session(this.id, this.signal);
    } catch (error) {
      if (!this.signal.aborted) await this.openAnother(error);
      return;
    }
    const page = await this.firstPage(api.messages);
    if (this.signal.aborted) return;
    this.build();
    this.conversation.userName = nameOf(this.session) ?? 'User';
    this.conversation.show(page);
    this.nameAgent();
    this.unfollow = follow(this.id, page.cursors?.after ?? 0, {
      event: (name, data) => this.heard(name, data),
      state: (state) => this.conversation.connection(state),
      end: (error) => this.ended(error),
    });
  }

  /** An expired session is still there to be read for a while. */
  async openAnother(error) {
    if (error.status === 0) {
      this.say('The server does not answer', 'This page is loaded as soon as it does.');
      setTimeout(() => !this.signal.aborted && this.open(), 2000);
      return;
    }
    if (error.status === 401) {
      const again = h('button', { type: 'button', onclick: askForTokenAgain }, 'Enter the token');
      return this.say('Not signed in', 'This session needs a token.', again);
    }
    if (error.status !== 410) {
      return this.say('There is no such session', 'It was deleted, or expired long ago, or is not one that this token may see.');
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
      ? `This session expired on ${fullTime(this.expiredAt)}. What was said is kept for a while.`
      : `This session expired on ${fullTime(this.expiredAt)}. Its transcript is for the administrator’s token.`);
  }

  say(title, text, action = h('a', { href: '#/' }, 'All sessions')) {
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
      setText(this.title, name ?? 'An agent that is gone');
      document.title = `${this.agentName} · sessiond`;
      this.conversation.nameAgent(this.agentName);
      this.take(this.session);
    } catch {
      // The page is of use without the name.
    }
  }

  /** Takes over how the session is now. */
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
      ['Timeout', `${count(times.timeoutMinutes)} min, at most ${count(times.maxDurationMinutes)} min in all`],
      ['Warning', `${count(times.warningThresholdMinutes)} min before the end`],
      ['Renewal', times.autoRenew ? 'by each message' : 'by hand only'],
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
    const words = { active: 'Active', near: 'Ends soon', expired: 'Expired', deleted: 'Deleted' };
    this.chip.dataset.state = state;
    setText(this.chip, words[state]);
  }

  heard(name, data) {
    if (this.conversation.heard(name, data)) return;
    if (name === 'state') {
      this.refresh();
    } else if (name === 'sessionRenewed') {
      this.refresh();
    } else if (name === 'sessionExpirationWarning') {
      this.countdown.warn();
      this.mark('near');
      notify('This session ends soon.', 'warn');
    } else if (name === 'sessionExpired') {
      this.runOut();
    } else if (name === 'channelDeleted') {
      this.close('deleted', 'This session was deleted, and its messages with it.');
    }
  }

  async refresh() {
    try {
      this.take(await api.session(this.id, this.signal));
    } catch {
      // The stream says what has become of it.
    }
  }

  runOut() {
    if (this.isOver) return;
    this.countdown.finish();
    this.close('expired', 'This session has expired. What was said is kept for a while.');
  }

  /** Why the events have ended. */
  ended(error) {
    if (!error) return;
    if (error.status === 410) this.runOut();
    else if (error.status === 404) this.close('deleted', 'This session is no longer there.');
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
    notify('The timeout is changed.', 'good');
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

  /** The lines that `sessiond import` reads. */
  async export() {
    await this.attempt(async () => {
      download(`session-${this.id}.jsonl`, await api.export(this.id), 'application/x-ndjson');
    });
  }
}
