// The title of a conversation, which can be changed in its place.

import { button, h, setText } from './dom.js';

const MAX_TITLE = 200;

export class Title {
  /** `rename(title)` stores a title. It resolves to true if the server has taken it. */
  constructor(rename) {
    this.rename = rename;
    this.heading = h('h1', { class: 'clip', dir: 'auto' }, 'Session');
    this.change = button('Rename', () => this.edit(), 'quiet');
    this.element = h('div', { class: 'title' }, this.heading, this.change);
  }

  /** Shows the title, or the agent's name where there is none. */
  show(title, name) {
    this.heading.title = title;
    setText(this.heading, title || name);
  }

  edit() {
    const input = h('input', { id: 'title', value: this.heading.title, maxlength: MAX_TITLE, placeholder: 'No title', dir: 'auto', autocomplete: 'off' });
    const end = () => {
      this.element.replaceChildren(this.heading, this.change);
      this.change.focus();
    };
    const save = async (event) => {
      event.preventDefault();
      if (await this.rename(input.value.trim())) end();
    };
    this.element.replaceChildren(h('form', { class: 'rename', onsubmit: save, onkeydown: ({ key }) => key === 'Escape' && end() },
      h('label', { for: 'title', class: 'hidden' }, 'Title'), input,
      h('button', { type: 'submit', class: 'primary' }, 'Save'), button('Cancel', end, 'quiet')));
    input.select();
  }

  freeze() {
    this.change.hidden = true;
  }
}
