// The remaining time of a session. It counts from the arrival of the server's numbers, so that a wrong
// clock of the browser does not matter.

import { h, setText } from './dom.js';
import { duration } from './format.js';

const MINUTE = 60_000;
const TICK = 500;

/** The bar moves in steps: motion all the time costs processor time. */
const STEPS = 200;

/** A bar with a text. `ended` is called when the time is over. */
export class Countdown {
  constructor(session, { ended = () => {} } = {}) {
    this.fill = h('span', { class: 'bar-fill' });
    this.words = h('span', { class: 'bar-words' });
    this.element = h('span', { class: 'countdown' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, this.fill), this.words);
    this.ended = ended;
    this.timer = setInterval(() => document.hidden || this.tick(), TICK);
    this.take(session);
  }

  /** Shows the session as the server reports it. */
  take({ timeRemaining, timeoutConfig, isNearExpiration, ...session }) {
    const since = session.renewalCount > 0 && timeoutConfig.autoRenew ? session.lastActivity : session.createdAt;
    const window = new Date(session.expiresAt) - new Date(since);
    this.total = Math.max(timeRemaining, Math.min(timeoutConfig.timeoutMinutes * MINUTE, window), 1);
    this.until = performance.now() + timeRemaining;
    this.isNear = isNearExpiration;
    this.show();
  }

  /** The server has sent a warning before the expiration. */
  warn() {
    this.isNear = true;
    this.show();
  }

  /** Ends the countdown. */
  finish() {
    this.stop();
    this.until = 0;
    this.show();
  }

  get remaining() {
    return Math.max(0, this.until - performance.now());
  }

  tick() {
    this.show();
    if (!this.remaining) this.ended();
  }

  stop() {
    clearInterval(this.timer);
  }

  show() {
    const { remaining } = this;
    const state = remaining ? this.isNear ? 'near' : 'far' : 'over';
    if (this.element.dataset.state !== state) this.element.dataset.state = state;
    const step = Math.ceil(Math.min(1, remaining / this.total) * STEPS);
    if (step !== this.step) this.fill.style.transform = `scaleX(${step / STEPS})`;
    this.step = step;
    setText(this.words, remaining ? `${duration(Math.ceil(remaining / 1000) * 1000)} left` : 'expired');
  }
}
