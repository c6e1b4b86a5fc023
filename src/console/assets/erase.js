// Deletes several sessions, after a confirmation.

import { api } from './api.js';
import { h, notify, setText } from './dom.js';
import { count, plural } from './format.js';

const PARALLEL = 4;

/** Calls `act` for each item, a few at a time. It must not fail. */
export async function inParallel(items, act, limit = PARALLEL) {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await act(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}

/**
 * Asks, then calls `run(report, signal)`; the signal is aborted if the user stops it. If it fails, the
 * error is shown and the dialog stays open. Resolves to its result, or to undefined.
 */
function confirm({ title, text, action, run }) {
  return new Promise((resolve) => {
    const stop = new AbortController();
    const problem = h('p', { class: 'problem', role: 'alert' });
    const bar = h('progress', { 'aria-label': 'Progress', hidden: true });
    const progress = h('p', { class: 'muted', role: 'status' });
    const send = h('button', { type: 'submit', class: 'danger' }, action);
    const cancel = h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Cancel');
    const form = h('form', { class: 'form' },
      h('h2', { id: 'dialog-title' }, title), h('p', { class: 'intro' }, text), bar, progress, problem,
      h('div', { class: 'actions' }, cancel, send));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    const report = (done, total) => {
      bar.hidden = false;
      setText(cancel, 'Stop');
      Object.assign(bar, { max: total, value: done });
      setText(progress, `Deleted ${count(done)} of ${count(total)}`);
    };
    let result;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      send.disabled = true;
      setText(problem, '');
      try {
        result = await run(report, stop.signal);
        if (dialog.open) dialog.close();
        resolve(result);
      } catch (error) {
        send.disabled = false;
        setText(problem, error.message);
        if (dialog.open) return;
        notify(error.message, 'bad');
        resolve(undefined);
      }
    });
    dialog.addEventListener('close', () => {
      stop.abort();
      dialog.remove();
      // A run that was stopped reports what it has done.
      if (!send.disabled) resolve(undefined);
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** Deletes sessions. Resolves to `{ deleted, failed, reason }`, two lists of ids and the first error's message. */
export function eraseSessions(ids) {
  const some = plural(ids.length, 'session');
  return confirm({
    title: `Delete ${some}?`,
    text: `${ids.length === 1 ? 'The session and its' : 'The sessions and all of their'} messages are erased immediately. This cannot be undone.`,
    action: `Delete ${some}`,
    run: async (report, signal) => {
      const outcome = { deleted: [], failed: [], reason: '' };
      report(0, ids.length);
      await inParallel(ids, async (id) => {
        if (signal.aborted) return;
        try {
          await api.remove(id);
        } catch (error) {
          // A session that does not exist any more is deleted too.
          if (error.status !== 404) {
            outcome.failed.push(id);
            outcome.reason ||= error.message;
            return;
          }
        }
        outcome.deleted.push(id);
        report(outcome.deleted.length, ids.length);
      });
      return outcome;
    },
  });
}

/** Erases all sessions of a user. Resolves to their number. */
export async function eraseUser(userId, whose) {
  const { total } = await api.sessions({ userId, status: 'all', limit: 1 });
  return confirm({
    title: `Erase everything of ${whose}?`,
    text: `${plural(total, 'session')}, active and expired, and all of their messages are erased immediately. This cannot be undone. Backups that were made before still contain them.`,
    action: 'Erase everything',
    run: async () => (await api.removeAllOf(userId)).deleted,
  });
}
