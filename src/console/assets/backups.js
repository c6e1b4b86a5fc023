// The storage with the backups that the server makes by itself, and what is wrong with these.

import { admin } from './api.js';
import { ago, count } from './format.js';

const HOUR = 3_600_000;

/** How long an answer without a failure counts, since the log is long and backups are rare. */
const PATIENCE = 60_000;

/** How a line of the log begins that reports a failure, and the one that ends it. */
const FAILURE = 'no backup was created';
const RECOVERY = 'scheduled backups are created again';

let latest = { readAt: -Infinity };

/** The `hours` between two backups, or 0 if the server makes none, and the `failure` of the last one since its start. */
async function readBackups(options) {
  const readAt = performance.now();
  if (latest.failure || readAt - latest.readAt > PATIENCE) {
    const [settings, log] = await Promise.all([admin.settings(options), admin.log(options)]);
    const { value } = settings.find(({ name }) => name === 'BACKUP_EVERY_HOURS');
    const last = log.findLast(({ message }) => message.startsWith(FAILURE) || message === RECOVERY);
    latest = { readAt, hours: Number(value), failure: last?.message === RECOVERY ? undefined : last };
  }
  return latest;
}

export const readStorage = async (options) => ({ ...await readBackups(options), ...await admin.storage(options) });

/** What is wrong, as a title and a text, if anything is. The first backup is due at the start of the server. */
export function problemOfBackups({ hours, failure, lastBackup }, startedAt, now) {
  if (!hours) return [];
  const madeAt = lastBackup ? Date.parse(lastBackup.at) : 0;
  const last = lastBackup ? `The last one was made ${ago(madeAt, now)}.` : 'None has been made yet.';
  // A backup that was downloaded since does not end it.
  if (failure) {
    const { directory, error } = failure.fields;
    return ['Backups fail', `${directory ? `${directory}: ` : ''}${error}. It is tried again within an hour. ${last}`];
  }
  if (now - (madeAt || startedAt) < 2 * hours * HOUR) return [];
  return ['The backup is overdue', `One is due every ${count(hours)} h. ${last}`];
}
