// Signing in with a token.

import { SessiondClient } from '/client.js';

import { check, field, openForm } from './dialogs.js';
import { h } from './dom.js';
import { token } from './token.js';

/** Prompts for the token. Resolves to true if it was given and the server accepts it. */
export function signIn(problem, signal) {
  // Password managers store a token under a name.
  const name = h('input', { class: 'hidden', type: 'text', name: 'username', autocomplete: 'username', value: 'sessiond', readonly: true, tabindex: '-1', 'aria-hidden': 'true' });
  const input = h('input', { type: 'password', name: 'password', autocomplete: 'current-password', spellcheck: 'false', autocapitalize: 'none', required: true, autofocus: true });
  const remember = h('input', { type: 'checkbox' });
  return openForm({
    title: 'This server requires a token',
    intro: 'The open tabs of this browser share it, and it is forgotten with the last one.',
    problem,
    content: [
      name,
      field('Token', input, 'The server token, the admin token, or the JWT of a user.'),
      token.canRemember && h('div', {},
        check('Remember on this device', remember),
        h('p', { class: 'hint' }, 'For at most 30 days, until you sign out. Only for a device of your own.')),
    ],
    action: 'Sign in',
    signal,
    submit: async () => {
      const value = input.value.trim();
      await verify(value);
      token.set(value, remember.checked);
      return true;
    },
  });
}

async function verify(value) {
  try {
    await new SessiondClient({ token: value, retries: 0 }).me();
  } catch (error) {
    if (error.status === 401) throw new Error('The server rejected this token.');
    // A value that no header can carry.
    throw /[^\x21-\x7e]/.test(value) ? new Error('A token has only ASCII letters, digits and signs.') : error;
  }
}
