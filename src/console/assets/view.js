// The frame of a view: a heading, and its content or what is said in its place.

import { SessiondError, reopenTokenPrompt } from './api.js';
import { button, emptyState, h } from './dom.js';
import { identity } from './identity.js';

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails unless the administrators' endpoints are open. */
export async function requireAdmin() {
  if (!(await identity()).isAdmin) throw new SessiondError('', { status: 403 });
}

/** A subclass has `refresh()`, which shows what the server says, or fails. */
export class View {
  /** `what` the view shows, in the plural. `signal` ends it. */
  constructor(title, what, signal) {
    this.what = what;
    this.signal = signal;
    this.heading = h('h1', {}, title);
    this.summary = h('p', { class: 'summary' });
    this.head = h('div', { class: 'view-head' }, h('div', {}, this.heading, this.summary));
    this.message = h('div', {}, h('p', { class: 'loading', role: 'status' }, 'Loading'));
    this.content = h('div', { class: 'view', hidden: true });
    this.element = h('div', { class: 'view' }, this.head, this.message, this.content);
  }

  /** Refreshes the view now and, unless its tab is hidden, in intervals. */
  async keepFresh(interval) {
    for (let isFirst = true; !this.signal.aborted; isFirst = false) {
      if (isFirst || !document.hidden) await this.refresh().catch((error) => this.fail(error));
      await pause(interval);
    }
  }

  /** Shows the content, unless a message takes its place. */
  show(...message) {
    this.say(...message);
    this.content.hidden = false;
  }

  /** Says why there is no content. What is shown stays while the server does not respond. */
  fail({ status, message }) {
    if (this.signal.aborted || (status === 0 && !this.content.hidden)) return;
    this.content.hidden = true;
    this.summary.textContent = '';
    if (status === 401) this.say('Not signed in', `${this.what} require a token.`, button('Enter the token', reopenTokenPrompt));
    else if (status === 403) this.say('Not permitted', `${this.what} require the admin token.`);
    else this.say(`${this.what} cannot be shown`, message);
  }

  /** Says something, or nothing. The same message stays, with its focused button. */
  say(title = '', text = '', ...actions) {
    if (this.said === title + text) return;
    this.said = title + text;
    this.message.replaceChildren(...(title ? [emptyState(title, text, ...actions)] : []));
  }
}
