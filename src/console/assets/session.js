// One session: its conversation, its details and its actions.

import { admin, client, namesOfAgents, reopenTokenPrompt } from './api.js';
import { Conversation } from './conversation.js';
import { Countdown } from './countdown.js';
import { changeTimeout, confirmDelete, ownUser } from './dialogs.js';
import { attempt, button, emptyState, h, notify, saveFile, setText, slowButton } from './dom.js';
import { showFacts } from './facts.js';
import { fullTime, nameOf, short } from './format.js';
import { identity } from './identity.js';
import { continueSession } from './sending.js';
import { titleOf } from './text.js';
import { Title } from './title.js';

const PAGE = 50;
const RETRY_AFTER = 2000;
const STATES = { active: 'Active', near: 'Expiring soon', expired: 'Expired', deleted: 'Deleted' };

export function sessionView(id, signal, parameters) {
  return new SessionPage(id, signal, parameters).element;
}

class SessionPage {
  isOver = false;
  /** The call that loads messages; after the expiry, only the transcript has them. */
  source = 'messages';
  read = (parameters) => client[this.source](this.id, parameters, { signal: this.signal });

  /** What events do beside the conversation, by their names. */
  events = {
    state: () => this.refresh(),
    sessionRenewed: () => this.refresh(),
    messageComplete: () => this.refresh(),
    sessionUpdated: ({ metadata }) => this.show({ ...this.session, metadata }),
    sessionExpirationWarning: () => {
      this.countdown.warn();
      this.mark('near');
      notify('This session expires soon.', 'warn');
    },
    sessionExpired: () => this.runOut(),
    channelDeleted: () => this.close('deleted', 'This session and its messages were deleted.'),
  };

  constructor(id, signal, parameters) {
    this.id = id;
    this.signal = signal;
    const message = parameters?.get('message');
    this.found = message && { id: message, at: timeOf(parameters.get('at')) };
    this.element = h('div', { class: 'view' }, h('p', { class: 'loading', role: 'status' }, 'Loading the session'));
    signal.addEventListener('abort', () => this.countdown?.stop());
    this.load();
  }

  async load() {
    try {
      await this.open();
    } catch (error) {
      if (!this.signal.aborted) this.openFailed(error);
    }
  }

  async open() {
    this.ownUser = await ownUser();
    const session = await client.getSession(this.id, { signal: this.signal });
    const page = await this.read({ limit: PAGE });
    this.build(session);
    this.countdown = new Countdown(session, { ended: () => this.runOut() });
    this.head.append(this.countdown.element);
    await this.conversation.open(page, this.found);
    this.follow(page.cursors?.after ?? 0);
  }

  /** Shows what happens in the session, until it ends or another view is opened. */
  async follow(after) {
    try {
      for await (const { type, data } of client.events(this.id, { after, signal: this.signal })) {
        this.conversation.events[type]?.(data);
        this.events[type]?.(data);
      }
    } catch ({ status, message }) {
      if (status === 410) this.runOut();
      else if (status === 404) this.close('deleted', 'This session no longer exists.');
      else this.conversation.showConnection(message);
    }
  }

  /** Shows an expired session, which can be read for a while, or why there is none. */
  openFailed({ status, message, details }) {
    if (status === 410) {
      this.openExpired(details.expiresAt);
      return;
    }
    const [title, text, action = h('a', { href: '#/' }, 'All sessions')] = {
      0: ['The server does not respond', 'This page will load as soon as it does.'],
      401: ['Not signed in', 'This session requires a token.', button('Enter the token', reopenTokenPrompt)],
      404: ['Session not found', 'It was deleted, is no longer retained, or is not visible with this token.'],
    }[status] ?? ['The session cannot be shown', message];
    this.element.replaceChildren(h('h1', { class: 'hidden' }, 'Session'), emptyState(title, text, action));
    if (!status) setTimeout(() => this.signal.aborted || this.load(), RETRY_AFTER);
  }

  async openExpired(expiresAt) {
    this.source = 'transcript';
    const [page, session] = await Promise.all([
      this.read({ limit: PAGE }).catch(() => undefined),
      this.findExpired().catch(() => undefined),
    ]);
    if (this.signal.aborted) return;
    this.build(session ?? { sessionId: this.id, expiresAt });
    const state = page ? 'Its messages are retained for a while.' : 'Its transcript requires the admin token.';
    this.close('expired', `This session expired on ${fullTime(expiresAt)}. ${state}`);
    await this.conversation.open(page ?? { messages: [] }, this.found);
  }

  /** An expired session's details, which only the list has. */
  async findExpired() {
    const { userId } = await identity();
    const filter = { q: this.id, status: 'expired', limit: 1, userId };
    let page = {};
    do {
      page = await client.listSessions({ ...filter, cursor: page.nextCursor }, { signal: this.signal });
    } while (!page.sessions.length && page.nextCursor);
    return page.sessions[0];
  }

  build(session) {
    this.title = new Title((title) => this.rename(title));
    this.agent = h('span', { dir: 'auto' });
    this.chip = h('span', { class: 'chip' });
    this.conversation = new Conversation(this.id, {
      read: this.read,
      session: () => this.session,
      signal: this.signal,
    });
    const action = (text, act, kind) => button(text, () => attempt(act), kind);
    this.living = [action('Renew', () => this.renew()), action('Change timeout', () => this.changeTimeout())];
    const exporting = action('Export', async () => saveFile(`session-${this.id}.jsonl`, await admin.export({ query: { session: this.id } })));
    exporting.hidden = true;
    identity().then(({ isAdmin }) => { exporting.hidden = !isAdmin; }, () => {});
    this.actions = h('div', { class: 'actions' }, ...this.living, exporting, action('Delete', () => this.remove(), 'danger-quiet'));
    this.facts = h('dl', { class: 'facts' });
    this.head = h('div', { class: 'grow' },
      h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Sessions'), this.agent),
      h('div', { class: 'title-line' }, this.title.element, this.chip));
    this.element.replaceChildren(
      h('div', { class: 'view-head session-head' }, this.head, this.actions),
      h('div', { class: 'columns' },
        this.conversation.element,
        h('aside', { class: 'card', 'aria-label': 'About this session' }, h('h2', {}, 'About this session'), this.facts)));
    this.show(session);
    this.nameAgent();
  }

  async nameAgent() {
    const { agentId } = this.session;
    const names = agentId && (await namesOfAgents().catch(() => undefined));
    if (!names) return;
    this.isRemoved = !names.has(agentId);
    this.agentName = names.get(agentId) ?? short(agentId);
    this.conversation.nameAgent(this.agentName);
    this.show(this.session);
  }

  /** Shows the session as the server reports it. */
  take(session) {
    this.countdown.take(session);
    this.show(session);
  }

  show(session) {
    this.session = session;
    showFacts(this.facts, session, this.isRemoved ? undefined : this.agentName ?? session.agentId);
    if (session.metadata) this.conversation.userName = session.userId === this.ownUser ? 'You' : nameOf(session) ?? 'User';
    const title = session.metadata ? titleOf(session) : '';
    const name = this.isRemoved ? 'Removed agent' : this.agentName ?? 'Session';
    this.title.show(title, name);
    setText(this.agent, title && this.agentName ? ` / ${name}` : '');
    document.title = `${title || name} · sessiond`;
    if (!this.isOver) this.mark(session.isNearExpiration ? 'near' : 'active');
  }

  mark(state) {
    this.chip.dataset.state = state;
    setText(this.chip, STATES[state]);
  }

  async refresh() {
    try {
      this.take(await client.getSession(this.id, { signal: this.signal }));
    } catch {
      // The stream reports what has happened.
    }
  }

  runOut() {
    this.source = 'transcript';
    this.countdown.finish();
    this.close('expired', 'This session has expired. Its messages are retained for a while.');
  }

  close(state, text) {
    if (this.isOver && state === 'expired') return;
    this.isOver = true;
    this.mark(state);
    this.countdown?.stop();
    this.title.freeze();
    const isGone = state === 'deleted';
    for (const element of isGone ? this.actions.children : this.living) element.disabled = true;
    const canContinue = !isGone && this.session.agentId;
    this.conversation.close(text, ...(canContinue ? [slowButton('Continue', () => continueSession(this.session), { class: 'primary' })] : []));
  }

  async rename(title) {
    return attempt(async () => {
      this.take(await client.updateSession(this.id, { metadata: { title: title || null } }));
      return true;
    });
  }

  async renew() {
    this.take(await client.renew(this.id));
    notify('Renewed.', 'good');
  }

  async changeTimeout() {
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
}

/** A time in milliseconds, from either form in which the API takes one, or NaN. */
const timeOf = (text) => (/^\d+$/.test(text) ? Number(text) : Date.parse(text));
