// Why a turn failed, in words; for administrators also the cause that the server noted.

import { admin } from './api.js';
import { timeOfDay } from './format.js';
import { identity } from './identity.js';

const WORDS = {
  unavailable: 'The model server is unavailable.',
  busy: 'The model server is busy.',
  too_long: 'The conversation is too long for the model.',
  refused: 'The agent declined to reply.',
  misconfigured: 'The agent is not configured correctly.',
  timeout: 'The agent did not reply in time.',
  invalid_reply: 'The agent’s reply was interrupted or could not be read.',
  cancelled: 'Stopped before a reply.',
  expired: 'The session expired before a reply.',
  internal: 'The server failed while it handled this message.',
};

/** How long after a message its turn can fail: retries, the queue and the timeout included. */
const LONGEST_TURN = 3_600_000;

/** The reason of an `agentError` in words. Only a refusal has words of its own. */
export function failureText({ reason, code, message }) {
  const known = WORDS[code === 'TURN_CANCELLED' ? 'cancelled' : reason];
  if (!known) return message || 'No reply.';
  return reason === 'refused' && message ? `${known} ${message}` : known;
}

/** The agent's last failure if it fits the failure of a message sent at a time in ms, for administrators. */
export async function failureCause(agentId, reason, sentAt) {
  try {
    if (!(await identity()).isAdmin) return undefined;
    const { lastFailure, address } = (await admin.agents()).find(({ id }) => id === agentId) ?? {};
    const delay = Date.parse(lastFailure?.at) - sentAt;
    if (lastFailure?.reason !== reason || !(delay >= 0 && delay <= LONGEST_TURN)) return undefined;
    const where = address ? ` (${address})` : '';
    return lastFailure.cause && `The agent’s last failure, at ${timeOfDay(lastFailure.at)}${where}: ${lastFailure.cause}`;
  } catch {
    // The reason says enough.
    return undefined;
  }
}

/** What a reply lacks, in words. */
export function shortcoming({ interrupted, truncated, finishReason }) {
  if (interrupted) return 'Stopped before it was complete.';
  if (truncated) return 'Cut off: the agent took too long, or its reply was.';
  if (finishReason === 'length') return 'Cut off: the model’s limit of tokens was reached.';
  if (finishReason === 'content_filter') return 'Cut off by the model server’s content filter.';
  return undefined;
}
