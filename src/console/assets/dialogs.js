// Dialogs, which the keyboard can close.

import { api } from './api.js';
import { h } from './dom.js';
import { identity } from './identity.js';

const USER = 'sessiond.user';

let fields = 0;

/** A labelled field. Screen readers read the hint too. */
export function field(label, input, hint) {
  fields += 1;
  input.id = `field-${fields}`;
  const parts = [h('label', { for: input.id }, label), input];
  if (hint) {
    input.setAttribute('aria-describedby', `${input.id}-hint`);
    parts.push(h('p', { class: 'hint', id: `${input.id}-hint` }, hint));
  }
  return h('div', { class: 'field' }, ...parts);
}

/**
 * Opens a form. `submit` is called on submission; if it throws, the error is shown and the dialog
 * stays open. Resolves to the result of `submit`, or to undefined. `signal` closes the dialog.
 */
export function openForm({ title, intro, problem = '', content = [], action, danger = false, submit, signal }) {
  return new Promise((resolve) => {
    const error = h('p', { class: 'problem', role: 'alert' }, problem);
    const send = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action);
    const cancel = h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Cancel');
    const form = h('form', { class: 'form' },
      h('h2', { id: 'dialog-title' }, title),
      intro && h('p', { class: 'intro' }, intro),
      ...content, error, h('div', { class: 'actions' }, cancel, send));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    let result;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      send.disabled = true;
      error.textContent = '';
      try {
        result = await submit();
        dialog.close();
      } catch (failure) {
        error.textContent = failure.message;
      } finally {
        send.disabled = false;
      }
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(result);
    });
    signal?.addEventListener('abort', () => dialog.close());
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Creates a session of the user with an agent, without a dialog. */
export async function startWith(agentId) {
  return api.create({ agentId, userId: (await ownId()) ?? rememberedUser() });
}

/** The id of the user whose token is used, who cannot have sessions of others. */
async function ownId() {
  return (await identity()).userId;
}

/** Creates a session. Resolves to it. */
export async function startConversation() {
  let agents;
  let own;
  try {
    [agents, own] = await Promise.all([api.agents(), ownId()]);
  } catch (error) {
    agents ??= [];
    if (error.status === 401) return undefined;
  }
  const agent = h('select', { required: true }, ...agents.map(({ id, name }) => h('option', { value: id }, name)));
  const user = h('input', { value: own ?? rememberedUser(), readonly: own !== undefined, required: true, spellcheck: 'false', autocomplete: 'off', class: 'mono' });
  const minutes = h('input', { type: 'number', min: '1', step: '1', inputmode: 'numeric', placeholder: 'the agent’s default' });
  const metadata = h('textarea', { rows: '2', spellcheck: 'false', class: 'mono', placeholder: '{}' });
  return openForm({
    title: 'Start a conversation',
    content: [
      field('Agent', agent),
      field('User', user, own ? 'Your own id, from your token.' : 'Any UUID. This one was generated for this tab.'),
      field('Timeout in minutes', minutes),
      field('Metadata', metadata, 'A JSON object (optional).'),
    ],
    action: 'Start',
    submit: async () => {
      const userId = user.value.trim();
      const body = { agentId: agent.value, userId };
      if (minutes.value) body.timeoutConfig = { timeoutMinutes: Number(minutes.value) };
      if (metadata.value.trim()) body.metadata = objectOf(metadata.value);
      const session = await api.create(body);
      if (!own) sessionStorage.setItem(USER, userId);
      return session;
    },
  });
}

function rememberedUser() {
  const known = sessionStorage.getItem(USER);
  if (known) return known;
  const made = newId();
  sessionStorage.setItem(USER, made);
  return made;
}

/** A random UUID, also on a page that was not loaded over HTTPS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function objectOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('The metadata is not valid JSON.');
  }
}

/** Changes the timeouts. Resolves to the changed session. */
export function changeTimeout(session) {
  const now = session.timeoutConfig;
  const input = (value) => h('input', { type: 'number', min: '1', step: '1', inputmode: 'numeric', required: true, value });
  const timeout = input(now.timeoutMinutes);
  const maximum = input(now.maxDurationMinutes);
  const warning = input(now.warningThresholdMinutes);
  const renews = h('input', { type: 'checkbox', id: 'renews', checked: now.autoRenew });
  return openForm({
    title: 'Change the timeout',
    intro: 'This is not a renewal: the timeout counts from the creation or the last renewal.',
    content: [
      field('Minutes without activity', timeout),
      field('Maximum duration in minutes', maximum),
      field('Warning before expiration, in minutes', warning),
      h('div', { class: 'check' }, renews, h('label', { for: 'renews' }, 'A message renews the session')),
    ],
    action: 'Change',
    submit: () => api.setTimeout(session.sessionId, {
      timeoutMinutes: Number(timeout.value),
      maxDurationMinutes: Number(maximum.value),
      warningThresholdMinutes: Number(warning.value),
      autoRenew: renews.checked,
    }),
  });
}

/** Deletes a session after confirmation. Resolves to true if it was deleted. */
export function confirmDelete(id) {
  return openForm({
    title: 'Delete this session?',
    intro: 'The session and all of its messages are erased immediately. This cannot be undone.',
    action: 'Delete',
    danger: true,
    submit: async () => {
      await api.remove(id);
      return true;
    },
  });
}
