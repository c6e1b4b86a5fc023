// The messages of a conversation that are shown: a part of bounded length, which moves through the whole
// by pages, and which follows new messages while it includes the newest one.

import { h, setText } from './dom.js';

const PAGE = 50;
/** The number of messages on the page. */
const MAX_SHOWN = 200;
/** The distance from the end, in pixels, within which the view follows new messages. */
const NEAR_END = 80;

const button = (text, onclick) => h('button', { type: 'button', class: 'quiet', hidden: true, onclick }, text);

export class Transcript {
  messages = new Map();
  hasLater = false;
  hasMissed = false;
  /** Whether the end was visible when the view was last scrolled. */
  wasAtEnd = true;

  /** `read(parameters)` loads a page, `create(message)` returns a `Message` for one of it. */
  constructor({ read, create, fail, attached }) {
    Object.assign(this, { read, create, fail, attached });
    this.first = button('First messages', () => this.busily(() => this.showFirst()));
    this.earlier = button('Earlier messages', () => this.busily(() => this.showEarlier()));
    this.later = button('Later messages', () => this.busily(() => this.showLater()));
    this.jump = h('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.jumped() }, 'Jump to latest');
    this.nothing = h('p', { class: 'nothing muted', hidden: true }, 'No messages yet.');
    this.unprinted = h('p', { class: 'unprinted' });
    this.list = h('ol', { class: 'messages' });
    this.foot = h('div', {});
    this.log = h('div', { class: 'log', role: 'log', 'aria-label': 'Transcript', tabindex: '0', onscroll: () => this.scrolled() },
      h('div', { class: 'pages' }, this.first, this.earlier), this.unprinted, this.nothing, this.list,
      h('div', { class: 'pages' }, this.later), this.foot);
    this.element = h('div', { class: 'log-box' }, this.log, this.jump);
  }

  /** Runs an action of a page button once at a time. Screen readers do not read out whole pages. */
  async busily(act) {
    if (this.isBusy) return;
    this.isBusy = true;
    this.log.setAttribute('aria-live', 'off');
    try {
      await act();
    } catch (error) {
      this.fail(error);
    } finally {
      this.isBusy = false;
      requestAnimationFrame(() => this.log.removeAttribute('aria-live'));
    }
  }

  /** Replaces what is shown by a page, which is sorted newest first. */
  fill({ messages }, { hasEarlier, hasLater }) {
    this.messages.clear();
    this.list.replaceChildren();
    this.hasLater = hasLater;
    this.hasEarlier = hasEarlier;
    this.list.append(...this.elementsOf(messages));
    this.settle();
  }

  elementsOf(messages) {
    return [...messages].reverse().filter(({ id }) => !this.messages.has(id)).map((message) => this.create(message).element);
  }

  settle() {
    this.first.hidden = this.earlier.hidden = !this.hasEarlier;
    this.later.hidden = !this.hasLater;
    this.nothing.hidden = this.list.childElementCount > 0;
    const omitted = [this.hasEarlier && 'Earlier', this.hasLater && 'Later'].filter(Boolean).join(' and ');
    setText(this.unprinted, omitted && `${omitted} messages are not on this page. Export has them all.`);
    this.showJump();
    this.markLast();
  }

  markLast() {
    let last;
    if (!this.hasLater) for (const message of this.messages.values()) if (message.isStored && message.isAgent && !(last?.createdAt > message.createdAt)) last = message;
    if (last === this.last) return;
    this.last?.markLast(false);
    last?.markLast(true);
    this.last = last;
  }

  get newest() {
    return this.edge([...this.list.children].reverse());
  }

  get oldest() {
    return this.edge(this.list.children);
  }

  edge(elements) {
    for (const { dataset } of elements) if (dataset.at) return Number(dataset.at);
    return 0;
  }

  async jumped() {
    // The button, which has the focus, disappears.
    this.log.focus({ preventScroll: true });
    await this.busily(() => this.showLatest());
  }

  async showLatest() {
    if (this.hasLater) {
      const page = await this.read({ limit: PAGE });
      this.fill(page, { hasEarlier: page.hasMore, hasLater: false });
      this.hasMissed = true;
      await this.catchUp();
    }
    this.toEnd();
    // Images and fonts may still change the height.
    requestAnimationFrame(() => this.toEnd());
  }

  async showFirst() {
    const page = await this.read({ limit: PAGE, after: 0 });
    this.fill(page, { hasEarlier: false, hasLater: page.hasMore });
    this.hasMissed = true;
    if (!page.hasMore) await this.catchUp();
    this.log.scrollTop = 0;
    this.log.focus({ preventScroll: true });
  }

  async showAround(at) {
    const [upTo, later] = await Promise.all([this.read({ limit: PAGE / 2, before: at + 1 }), this.read({ limit: PAGE / 2, after: at })]);
    const messages = [...later.messages, ...upTo.messages];
    this.fill({ messages }, { hasEarlier: upTo.hasMore, hasLater: later.hasMore });
  }

  async showEarlier() {
    const page = await this.read({ limit: PAGE, before: this.oldest });
    const { scrollHeight, scrollTop } = this.log;
    this.list.prepend(...this.elementsOf(page.messages));
    this.hasEarlier = page.hasMore;
    // The visible messages keep their position.
    this.log.scrollTop = scrollTop + this.log.scrollHeight - scrollHeight;
    if (this.trim(false)) this.hasLater = true;
    this.settle();
    if (this.earlier.hidden) this.log.focus({ preventScroll: true });
  }

  async showLater() {
    const page = await this.read({ limit: PAGE, after: this.newest });
    this.list.append(...this.elementsOf(page.messages));
    this.hasLater = page.hasMore;
    this.hasMissed = true;
    const { scrollHeight, scrollTop } = this.log;
    if (this.trim(true)) this.hasEarlier = true;
    this.log.scrollTop = scrollTop + this.log.scrollHeight - scrollHeight;
    this.settle();
    if (!this.hasLater) await this.catchUp();
    if (this.later.hidden) this.log.focus({ preventScroll: true });
  }

  /** Adds what was stored while the last page was loaded. */
  async catchUp() {
    while (this.hasMissed) {
      this.hasMissed = false;
      const page = await this.read({ limit: PAGE, after: this.newest });
      for (const message of [...page.messages].reverse()) if (!this.messages.has(message.id)) this.move(this.create(message));
      this.hasLater = page.hasMore;
      this.settle();
      if (page.hasMore) return;
    }
    this.attached();
  }

  /** Removes messages beyond the bound from the start or the end. Returns whether there were any. */
  trim(fromStart) {
    let surplus = [...this.list.children].filter(({ dataset }) => dataset.at).length - MAX_SHOWN;
    if (surplus <= 0) return false;
    while (surplus > 0) {
      const element = fromStart ? this.list.firstElementChild : this.list.lastElementChild;
      if (element.dataset.at) surplus -= 1;
      this.messages.delete(element.dataset.id);
      element.remove();
    }
    return true;
  }

  append(message) {
    this.list.append(message.element);
    if (this.follows && this.trim(true)) this.hasEarlier = true;
    if (!this.follows) this.hasUnseen = true;
    this.settle();
  }

  /** Moves a message to its position: others may have been stored before it. */
  move({ element }) {
    const isLater = ({ dataset, classList }) =>
      Number(dataset.at) > Number(element.dataset.at) || classList.contains('pending') || classList.contains('streaming');
    let before = this.list.lastElementChild;
    while (before && (before === element || isLater(before))) before = before.previousElementSibling;
    if (!before) this.list.prepend(element);
    else if (before.nextElementSibling !== element) before.after(element);
    this.markLast();
  }

  remove(message) {
    message.element.remove();
    for (const [id, known] of this.messages) if (known === message) this.messages.delete(id);
    this.settle();
  }

  /** Marks a message that was searched for. Returns whether it is shown. */
  mark(id) {
    const message = this.messages.get(id);
    if (!message) return false;
    const { element } = message;
    element.classList.add('found');
    element.setAttribute('aria-current', 'true');
    element.tabIndex = -1;
    this.wasAtEnd = false;
    requestAnimationFrame(() => {
      this.center(element);
      element.focus({ preventScroll: true });
    });
    return true;
  }

  center(element) {
    const box = this.log.getBoundingClientRect();
    const { top, height } = element.getBoundingClientRect();
    this.log.scrollTop += top - box.top - Math.max(16, (box.height - height) / 2);
  }

  isAtEnd() {
    return !this.hasLater && this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.scrolled();
  }

  get follows() {
    return this.wasAtEnd && !this.hasLater;
  }

  /** Does something that may change the height, and follows the end if it was visible. */
  following(act) {
    act();
    if (this.follows) this.toEnd();
  }

  scrolled() {
    this.wasAtEnd = this.isAtEnd();
    if (this.wasAtEnd) this.hasUnseen = false;
    this.showJump();
  }

  showJump() {
    this.jump.hidden = !this.hasLater && !this.hasUnseen;
  }
}
