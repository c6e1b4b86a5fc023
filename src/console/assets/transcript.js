// The messages of a conversation that are shown: a part of bounded length, which moves through the whole
// by pages, and which follows new messages while it includes the newest one.

import { button, h } from './dom.js';

const PAGE = 50;
/** The number of stored messages on the page. */
const MAX_SHOWN = 200;
/** The distance from the end, in pixels, within which the view follows new messages. */
const NEAR_END = 80;

export class Transcript {
  /** The messages in order. What is not stored comes last. */
  shown = [];
  hasEarlier = false;
  hasLater = false;
  hasUnseen = false;
  /** Whether the view stays at the end. */
  follows = true;
  top = 0;

  /** `read(parameters)` loads a page, `create(message)` returns a `Message` for one of it. */
  constructor({ read, create, fail, attached }) {
    Object.assign(this, { read, create, fail, attached });
    const paging = (text, act, kind = 'quiet') => button(text, () => this.busily(act), kind);
    this.first = paging('First messages', () => this.showFirst());
    this.earlier = paging('Earlier messages', () => this.turn(true));
    this.later = paging('Later messages', () => this.turn(false));
    this.jump = paging('Jump to latest', () => this.showLatest(), 'jump');
    this.nothing = h('p', { class: 'nothing muted' }, 'No messages yet.');
    this.unprinted = h('p', { class: 'unprinted' }, 'Not all messages are on this page. Export has them all.');
    this.list = h('ol', { class: 'messages' });
    this.foot = h('div', {});
    this.log = h('div', { class: 'log', role: 'log', 'aria-label': 'Transcript', tabindex: '0', onscroll: () => this.scrolled() },
      h('div', { class: 'pages' }, this.first, this.earlier), this.unprinted, this.nothing, this.list,
      h('div', { class: 'pages' }, this.later), this.foot);
    this.element = h('div', { class: 'log-box' }, this.log, this.jump);
    const resized = new ResizeObserver(() => this.follows && this.toEnd());
    for (const part of [this.list, this.foot, this.log]) resized.observe(part);
  }

  /** Runs the action of a page button once at a time. Screen readers do not read out whole pages. */
  async busily(act) {
    if (this.isBusy) return;
    this.isBusy = true;
    this.log.ariaLive = 'off';
    const focused = document.activeElement;
    try {
      await act();
    } catch (error) {
      this.fail(error);
    }
    this.isBusy = false;
    if (focused?.hidden) this.log.focus({ preventScroll: true });
    requestAnimationFrame(() => this.log.removeAttribute('aria-live'));
  }

  get(id) {
    return this.shown.find((message) => message.id === id);
  }

  get stored() {
    return this.shown.filter(({ state }) => state === 'stored');
  }

  /** The time of the newest message. */
  get newest() {
    return this.stored.at(-1)?.createdAt ?? 0;
  }

  /** Replaces what is shown by a page. */
  fill({ messages }, { hasEarlier, hasLater = false }) {
    Object.assign(this, { shown: [], hasEarlier, hasLater, follows: !hasLater });
    this.list.replaceChildren();
    this.add(messages);
  }

  add(messages) {
    for (const message of messages) if (!this.get(message.id)) this.place(this.create(message));
    this.settle();
  }

  settle() {
    this.first.hidden = this.earlier.hidden = !this.hasEarlier;
    this.later.hidden = !this.hasLater;
    this.unprinted.hidden = !this.hasEarlier && !this.hasLater;
    this.nothing.hidden = this.shown.length > 0;
    this.jump.hidden = !this.hasLater && !this.hasUnseen;
  }

  async showLatest() {
    if (this.hasLater) {
      const page = await this.read({ limit: PAGE });
      this.fill(page, { hasEarlier: page.hasMore });
      await this.catchUp();
    }
    this.toEnd();
  }

  async showFirst() {
    const page = await this.read({ limit: PAGE, after: 0 });
    this.fill(page, { hasEarlier: false, hasLater: page.hasMore });
    if (!page.hasMore) await this.catchUp();
    this.follows = false;
    this.log.scrollTop = 0;
  }

  async showAround(at) {
    const [upTo, later] = await Promise.all([this.read({ limit: PAGE / 2, before: at + 1 }), this.read({ limit: PAGE / 2, after: at })]);
    this.fill({ messages: [...later.messages, ...upTo.messages] }, { hasEarlier: upTo.hasMore, hasLater: later.hasMore });
  }

  /** Shows the page before or after. What is visible keeps its position. */
  async turn(isBack) {
    const page = await this.read(isBack ? { limit: PAGE, before: this.stored[0].createdAt } : { limit: PAGE, after: this.newest });
    const { element } = this.shown.at(isBack ? 0 : -1);
    const { top } = element.getBoundingClientRect();
    this.add(page.messages);
    const isCut = this.trim(!isBack);
    this.hasEarlier = isBack ? page.hasMore : this.hasEarlier || isCut;
    this.hasLater = isBack ? this.hasLater || isCut : page.hasMore;
    this.log.scrollTop += element.getBoundingClientRect().top - top;
    this.settle();
    if (!isBack && !this.hasLater) await this.catchUp();
  }

  /** Adds what was stored while the last page was loaded. */
  async catchUp() {
    const page = await this.read({ limit: PAGE, after: this.newest });
    this.hasLater = page.hasMore;
    this.add(page.messages);
    if (!this.hasLater) this.attached();
  }

  /** Removes messages beyond the bound from the start or the end. Returns whether there were any. */
  trim(fromStart) {
    const isTooLong = this.stored.length > MAX_SHOWN;
    while (this.stored.length > MAX_SHOWN) this.remove(this.shown.at(fromStart ? 0 : -1));
    return isTooLong;
  }

  /** Adds a new message, or moves one to where it was stored: others may have been stored before it. */
  append(message) {
    this.place(message);
    if (!this.follows) this.hasUnseen = true;
    else if (this.trim(true)) this.hasEarlier = true;
    this.settle();
  }

  place(message) {
    const { element, createdAt = Infinity } = message;
    this.shown = this.shown.filter((other) => other !== message);
    const index = 1 + this.shown.findLastIndex((other) => (other.createdAt ?? Infinity) <= createdAt);
    this.shown.splice(index, 0, message);
    const next = this.shown[index + 1]?.element ?? null;
    if (element.parentNode !== this.list || element.nextSibling !== next) this.list.insertBefore(element, next);
  }

  remove(message) {
    message.element.remove();
    this.shown = this.shown.filter((other) => other !== message);
    this.settle();
  }

  /** Marks a message that was searched for. Returns whether it is shown. */
  mark(id) {
    const element = this.get(id)?.element;
    if (!element) return false;
    this.follows = false;
    element.classList.add('found');
    element.setAttribute('aria-current', 'true');
    element.tabIndex = -1;
    element.scrollIntoView({ block: 'center' });
    element.focus({ preventScroll: true });
    return true;
  }

  toEnd() {
    this.follows = !this.hasLater;
    this.log.scrollTop = this.log.scrollHeight;
    this.scrolled();
  }

  /** Only who scrolls up leaves the end: what was added below does not. */
  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.follows = !this.hasLater && (isAtEnd || (this.follows && scrollTop >= this.top));
    this.top = scrollTop;
    if (this.follows) this.hasUnseen = false;
    this.settle();
  }
}
