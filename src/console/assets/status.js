// The state of the server, for the header and for Health: one answer for both.

import { admin, client } from './api.js';
import { problemOfBackups, readStorage } from './backups.js';
import { bytes, plural } from './format.js';
import { identity } from './identity.js';
import { oneLine } from './text.js';

const INTERVAL = 5000;

/** A server that takes longer does not answer. */
const PATIENCE = 10_000;

/** Below this, a disk is called full, since a copy of the database or a burst of messages may not fit. */
const LOW_SPACE = 256 * 1024 * 1024;

/** For how long a failure counts if it is not known how the turns after it ended. */
const RECENT = 15 * 60_000;

const AGENTS = ['#/agents', 'See the agents'];
const SERVER = ['#/server', 'See the storage'];

/** What each reason of the server means, and whether nothing can be stored. */
const REASONS = {
  no_space: ['The disk is full', 'Nothing is stored until there is free space. Reads work.', true],
  commit_failed: ['Writing fails', 'The last write did not reach the disk. It is retried every second. Reads work.', true],
  file_replaced: ['The database file was replaced', 'The server has another file open than the one at its path. Restart the server.', true],
  damaged_pages: ['The database file is damaged', 'The last verification found damaged pages. If another one does too, restore a backup.'],
  undecodable_records: ['Some records are damaged', 'They are skipped and quarantined. Everything else works.'],
};

/** For each agent the last failure that was seen, and how many turns had not failed then. */
const seen = new Map();

/** Compares an agent with what was seen before. */
function note({ id, turns, failures, lastFailure }) {
  const before = seen.get(id);
  const at = lastFailure?.at;
  const replied = turns - failures;
  // Otherwise a turn may have succeeded after the failure.
  const isCertain = replied === 0 || replied === before?.latest;
  if (!before || before.at !== at) seen.set(id, { at, replied, isCertain });
  seen.get(id).latest = replied;
}

/** A probe has shown that an agent replies. */
export function noteReply(id) {
  seen.get(id).replied = -1;
}

/**
 * `failing` if the last turn of an agent failed; `failed` if a recent one did and nothing more is known, and
 * `unclear` if that was longer ago. A refusal is a reply to its user.
 */
export function stateOf(agent) {
  note(agent);
  const { turns, failures, lastFailure } = agent;
  if (!lastFailure || lastFailure.reason === 'refused') return turns ? 'working' : 'unused';
  const last = seen.get(agent.id);
  if (turns - failures > last.replied) return 'working';
  if (last.isCertain) return 'failing';
  return status.now() - Date.parse(lastFailure.at) < RECENT ? 'failed' : 'unclear';
}

/** A name of any direction within other words. */
const isolated = (name) => `\u2068${oneLine(name, 40) || 'Unnamed agent'}\u2069`;

function problemOf(agents, what) {
  const names = agents.map(({ name }) => isolated(name));
  const all = names.length > 2 ? `${names[0]} and ${names.length - 1} others` : names.join(' and ');
  const text = agents.slice(0, 3).map(({ address, lastFailure: { cause } }, index) => `${names[index]}${address ? ` at ${address}` : ''}: ${cause}`).join('\n');
  return { kind: 'degraded', title: `${all} ${what}`, text, link: AGENTS };
}

/** Everything that is wrong, the worst first. */
function problemsOf({ status: kind, reasons = [], invalidSessions, uptime }, { agents = [], storage = {} }) {
  const found = reasons.map((reason) => {
    const [title, text, isWorst] = REASONS[reason] ?? [reason, ''];
    const affected = reason === 'undecodable_records' && invalidSessions ? ` ${plural(invalidSessions, 'session')} affected so far.` : '';
    return { kind: isWorst ? 'unhealthy' : 'degraded', title, text: text + affected, link: SERVER };
  });
  if (kind !== 'healthy' && !found.length) found.push({ kind, title: 'The database cannot be read', text: '', link: SERVER });
  const free = storage.freeOnDisk ?? Infinity;
  if (free < LOW_SPACE && !reasons.includes('no_space')) {
    found.push({ kind: 'degraded', title: 'The disk is almost full', text: `Only ${bytes(free)} are free. Without free space, nothing is stored.`, link: SERVER });
  }
  const [title, text] = problemOfBackups(storage, status.now() - uptime * 1000, status.now());
  if (title) found.push({ kind: 'degraded', title, text, link: SERVER });
  const [failing, failed] = ['failing', 'failed'].map((state) => agents.filter((agent) => stateOf(agent) === state));
  if (failing.length) found.push(problemOf(failing, failing.length === 1 ? 'is failing' : 'are failing'));
  if (failed.length) found.push(problemOf(failed, 'failed recently'));
  return found.sort((a, b) => (b.kind === 'unhealthy') - (a.kind === 'unhealthy'));
}

/** What the server says, with the `kind` of its state. */
async function find() {
  try {
    const health = await client.health({ signal: AbortSignal.timeout(PATIENCE) });
    ahead = Date.parse(health.timestamp) - Date.now();
    const problems = problemsOf(health, await detailsOf());
    const [worst, ...others] = problems;
    if (!worst) return { kind: 'healthy', title: 'Healthy', brief: plural(health.activeSessions, 'active session'), health, problems };
    const brief = worst.title + (others.length ? ` and ${others.length} more` : '');
    return { kind: worst.kind, title: problems.map(({ title }) => title).join('; '), brief, health, problems };
  } catch (error) {
    if (error.status === 401) return { kind: 'locked', title: 'Not signed in', brief: 'Token required', problems: [] };
    const brief = error.status ? error.message : 'Not connected';
    return { kind: 'unreachable', title: brief, brief, problems: [] };
  }
}

/** What only administrators may see; nothing for others. */
async function detailsOf() {
  if (!(await identity()).isAdmin) return {};
  const options = { signal: AbortSignal.timeout(PATIENCE) };
  const [agents, storage] = await Promise.allSettled([admin.agents(options), readStorage(options)]);
  return { agents: agents.value, storage: storage.value };
}

const listeners = new Set();
let current = { kind: 'connecting', title: 'Health', brief: 'Connecting', problems: [] };
let ahead = 0;
let asked = 0;
let answered = 0;

export const status = {
  /** Calls a function now and after each change, until the signal. */
  subscribe(listener, signal) {
    listeners.add(listener);
    signal?.addEventListener('abort', () => listeners.delete(listener));
    listener(current);
  },

  start() {
    const refresh = () => document.hidden || status.refresh();
    document.addEventListener('visibilitychange', refresh);
    addEventListener('online', refresh);
    setInterval(refresh, INTERVAL);
    status.refresh();
  },

  /** The time of the server's clock. */
  now: () => Date.now() + ahead,

  /** Asks the server. An answer that comes late does not replace a newer one. */
  async refresh() {
    const request = (asked += 1);
    const found = await find();
    if (request < answered) return;
    answered = request;
    current = found;
    for (const listener of listeners) listener(found);
  },
};
