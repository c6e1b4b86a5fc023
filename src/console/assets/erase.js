// Deletes several sessions, after a confirmation.

import { client } from './api.js';
import { openForm } from './dialogs.js';
import { h, setText } from './dom.js';
import { count, plural } from './format.js';

const PARALLEL = 4;

/** Calls `act` for each item, a few at a time. It must not fail. */
export async function inParallel(items, act) {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await act(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

/** Deletes sessions until it is stopped. Resolves to `{ deleted, failed, reason }`, two lists of ids and the first error's message. */
export function eraseSessions(ids) {
  const some = plural(ids.length, 'session');
  const progress = h('p', { class: 'muted', role: 'status' });
  return openForm({
    title: `Delete ${some}?`,
    intro: `${ids.length === 1 ? 'The session and its' : 'The sessions and all of their'} messages are erased immediately. This cannot be undone.`,
    content: [progress],
    action: `Delete ${some}`,
    danger: true,
    submit: async (stop) => {
      const outcome = { deleted: [], failed: [], reason: '' };
      await inParallel(ids, async (id) => {
        if (stop.aborted) return;
        try {
          await client.deleteSession(id);
        } catch (error) {
          // A session that does not exist any more is deleted too.
          if (error.status !== 404) {
            outcome.failed.push(id);
            outcome.reason ||= error.message;
            return;
          }
        }
        outcome.deleted.push(id);
        setText(progress, `Deleted ${count(outcome.deleted.length)} of ${count(ids.length)}`);
      });
      return outcome;
    },
  });
}

/** Erases all sessions of a user. Resolves to their number. */
export async function eraseUser(userId, whose) {
  const { total } = await client.listSessions({ userId, status: 'all', limit: 1 });
  return openForm({
    title: `Erase everything of ${whose}?`,
    intro: `${plural(total, 'session')}, active and expired, and all of their messages are erased immediately. This cannot be undone. Backups that were made before still contain them.`,
    action: 'Erase everything',
    danger: true,
    submit: () => client.deleteUserSessions(userId),
  });
}
