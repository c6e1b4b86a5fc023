// The title of a conversation, which can be changed in its place.

import { h, setText } from './dom.js';

const MAX_TITLE = 200;

export class Title {
  /** `rename(title)` stores a title; it throws if the server refuses it. */
  constructor(rename) {
    this.rename = rename;
    this.heading = h('h1', { class: 'clip', dir: 'auto' }, 'Session');
    this.change = h('button', { type: 'button', class: 'quiet', onclick: () => this.edit() }, 'Rename');
    this.element = h('div', { class: 'title' }, this.heading, this.change);
  }

  /** Shows the title, or the agent's name where there is none. */
  show(title, name) {
    this.title = title;
    setText(this.heading, title || name);
    this.heading.title = title || '';
  }

  edit() {
    const input = h('input', { id: 'title', value: this.title ?? '', maxlength: MAX_TITLE, placeholder: 'No title', dir: 'auto', autocomplete: 'off' });
    const end = () => {
      form.replaceWith(this.heading, this.change);
      this.change.focus();
    };
    const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
    const form = h('form', { class: 'rename', onsubmit: async (event) => {
      event.preventDefault();
      save.disabled = true;
      if (await this.rename(input.value.trim())) end();
      save.disabled = false;
    }, onkeydown: ({ key }) => key === 'Escape' && end() },
    h('label', { for: 'title', class: 'hidden' }, 'Title'), input, save,
    h('button', { type: 'button', class: 'quiet', onclick: end }, 'Cancel'));
    this.heading.replaceWith(form);
    this.change.remove();
    input.select();
  }

  freeze() {
    this.change.hidden = true;
  }
}
