// Dialogs, which the keyboard can close.

import { admin, client } from './api.js';
import { button, h, notify, setText } from './dom.js';
import { identity } from './identity.js';

const USER = 'sessiond.user';

let fields = 0;

/** A labelled field. Screen readers read the hint too. */
export function field(label, input, hint, kind = '') {
  fields += 1;
  input.id = `field-${fields}`;
  const id = `${input.id}-hint`;
  if (hint) input.setAttribute('aria-describedby', id);
  return h('div', { class: `field ${kind}` }, h('label', { for: input.id }, label), input, hint && h('p', { class: 'hint', id }, hint));
}

/** A checkbox with its label after it. */
export function check(label, input) {
  fields += 1;
  input.id = `field-${fields}`;
  return h('div', { class: 'check' }, input, h('label', { for: input.id }, label));
}

/**
 * Opens a form. `submit(stop)` is called on submission; if it throws, the error is shown and the dialog
 * stays open. Resolves to the result of `submit`, also if the dialog is closed meanwhile, which aborts
 * `stop`; or to undefined. `signal` closes the dialog.
 */
export function openForm({ title, intro, problem = '', content = [], action, danger = false, submit, signal }) {
  return new Promise((resolve) => {
    const stop = new AbortController();
    const error = h('p', { class: 'problem', role: 'alert' }, problem);
    const send = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action);
    const form = h('form', { class: 'form' },
      h('h2', { id: 'dialog-title' }, title),
      intro && h('p', { class: 'intro' }, intro),
      content, error, h('div', { class: 'actions' }, button('Cancel', () => dialog.close(), 'quiet'), send));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      send.disabled = true;
      setText(error, '');
      try {
        resolve(await submit(stop.signal));
        dialog.close();
      } catch (failure) {
        setText(error, inWords(failure.message, form));
        if (dialog.open) return;
        notify(failure.message, 'bad');
        resolve();
      } finally {
        send.disabled = false;
      }
    });
    dialog.addEventListener('close', () => {
      stop.abort();
      dialog.remove();
      if (!send.disabled) resolve();
    });
    signal?.addEventListener('abort', () => dialog.close());
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A message of the API that names fields as the form does. */
export function inWords(message, form) {
  let text = message;
  for (const { name, labels: [label] = [] } of form.elements) {
    if (name && label) text = text.replace(new RegExp(`\\b(\\w+\\.)?${name}\\b`), `“${label.textContent}”`);
  }
  return text;
}

/** Creates a session of the user with an agent, without a dialog. */
export async function startWith(agentId) {
  const { userId } = await identity();
  return client.createSession({ agentId, userId: userId ?? rememberedUser() });
}

/** Creates a session. Resolves to it. */
export async function startConversation() {
  const { userId: own, isAdmin } = await identity();
  const agents = await (isAdmin ? admin : client).agents();
  // A model is configured in order to be used.
  const usual = agents.find(({ backend }) => backend && backend !== 'eliza');
  const agent = h('select', { name: 'agentId', required: true }, agents.map(({ id, name }) => h('option', { value: id, selected: id === usual?.id }, name)));
  const user = h('input', { name: 'userId', value: own ?? rememberedUser(), readonly: own !== undefined, required: true, spellcheck: 'false', autocomplete: 'off', class: 'mono' });
  const minutes = numberInput('timeoutMinutes', { placeholder: 'the agent’s default' });
  const metadata = h('textarea', { name: 'metadata', rows: '2', spellcheck: 'false', class: 'mono', placeholder: '{}' });
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
      const session = await client.createSession({
        agentId: agent.value, userId,
        timeoutConfig: minutes.value ? { timeoutMinutes: Number(minutes.value) } : undefined,
        metadata: metadata.value.trim() ? objectOf(metadata.value) : undefined,
      });
      if (!own) sessionStorage.setItem(USER, userId);
      return session;
    },
  });
}

const numberInput = (name, properties) => h('input', { name, type: 'number', min: '1', step: '1', inputmode: 'numeric', ...properties });

/** The user whose sessions are the reader's own, if any. */
export const ownUser = async () => (await identity()).userId ?? sessionStorage.getItem(USER);

function rememberedUser() {
  const user = sessionStorage.getItem(USER) ?? newId();
  sessionStorage.setItem(USER, user);
  return user;
}

/** A random UUID, also on a page that was not loaded over HTTPS. */
export const newId = () => '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) =>
  // An 8 keeps its upper bits, which are the variant of a UUID.
  (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16));

function objectOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('The metadata is not valid JSON.');
  }
}

/** Changes the timeouts. Resolves to the changed session. */
export function changeTimeout({ sessionId, timeoutConfig }) {
  const minutes = ['timeoutMinutes', 'maxDurationMinutes', 'warningThresholdMinutes'].map((name) => numberInput(name, { required: true, value: timeoutConfig[name] }));
  const renews = h('input', { type: 'checkbox', checked: timeoutConfig.autoRenew });
  return openForm({
    title: 'Change the timeout',
    intro: 'This is not a renewal: the timeout counts from the creation or the last renewal.',
    content: [
      field('Minutes without activity', minutes[0]),
      field('Maximum duration in minutes', minutes[1]),
      field('Warning before expiration, in minutes', minutes[2]),
      check('A message renews the session', renews),
    ],
    action: 'Change',
    submit: () => client.updateTimeout(sessionId, {
      ...Object.fromEntries(minutes.map(({ name, value }) => [name, Number(value)])), autoRenew: renews.checked,
    }),
  });
}

/** Deletes a session after confirmation. Resolves to true if it was deleted. */
export const confirmDelete = (id) => openForm({
  title: 'Delete this session?',
  intro: 'The session and all of its messages are erased immediately. This cannot be undone.',
  action: 'Delete',
  danger: true,
  submit: async () => {
    await client.deleteSession(id);
    return true;
  },
});
