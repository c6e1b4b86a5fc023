// The state of the server, for the header and for Health: one answer for both.

import { api } from './api.js';
import { bytes, plural } from './format.js';
import { identity } from './identity.js';

const INTERVAL = 5000;

/** The agents and the disk are asked for less often. */
const DETAILS_INTERVAL = 15_000;

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
  if (seen.has(id)) seen.get(id).isOver = true;
}

/**
 * `failing` if the last turn of an agent failed; `failed` if a recent one did and nothing more is known, and
 * `unclear` if that was longer ago.
 */
export function stateOf(agent) {
  note(agent);
  const { turns, failures, lastFailure } = agent;
  if (!lastFailure) return turns ? 'working' : 'unused';
  const last = seen.get(agent.id);
  if (last.isOver || turns - failures > last.replied) return 'working';
  if (last.isCertain) return 'failing';
  return status.now() - Date.parse(lastFailure.at) < RECENT ? 'failed' : 'unclear';
}

function problemOf(agents, what) {
  const names = agents.map(({ name }) => (name.length > 40 ? `${name.slice(0, 40)}…` : name) || 'Unnamed agent');
  const all = names.length > 2 ? `${names[0]} and ${names.length - 1} others` : names.join(' and ');
  const text = names.slice(0, 3).map((name, index) => `${name}: ${agents[index].lastFailure.cause}`).join('\n');
  return { kind: 'degraded', title: `${all} ${what}`, text, link: AGENTS };
}

/** Everything that is wrong, the worst first. */
function problemsOf({ status: kind, reasons = [], invalidSessions }, { agents = [], storage }) {
  const found = reasons.map((reason) => {
    const [title, text, isWorst] = REASONS[reason] ?? [reason, ''];
    const affected = reason === 'undecodable_records' && invalidSessions ? ` ${plural(invalidSessions, 'session')} affected so far.` : '';
    return { kind: isWorst ? 'unhealthy' : 'degraded', title, text: text + affected, link: SERVER };
  });
  if (kind !== 'healthy' && !found.length) found.push({ kind, title: 'The database cannot be read', text: '', link: SERVER });
  const free = storage?.freeOnDisk ?? Infinity;
  if (free < LOW_SPACE && !reasons.includes('no_space')) {
    found.push({ kind: 'degraded', title: 'The disk is almost full', text: `Only ${bytes(free)} are free. Without free space, nothing is stored.`, link: SERVER });
  }
  for (const [state, one, many] of [['failing', 'is failing', 'are failing'], ['failed', 'failed recently', 'failed recently']]) {
    const affected = agents.filter((agent) => stateOf(agent) === state);
    if (affected.length) found.push(problemOf(affected, affected.length === 1 ? one : many));
  }
  return found.sort((a, b) => (b.kind === 'unhealthy') - (a.kind === 'unhealthy'));
}

class Status {
  listeners = new Set();
  details = {};
  detailsAt = -Infinity;
  ahead = 0;
  asked = 0;
  answered = 0;
  current = { kind: 'connecting', title: 'Health', brief: 'Connecting', problems: [] };

  /** Calls a function now and after each change, until the signal. */
  subscribe(listener, signal) {
    this.listeners.add(listener);
    signal?.addEventListener('abort', () => this.listeners.delete(listener));
    listener(this.current);
  }

  start() {
    const refresh = (isUrgent) => document.hidden || this.refresh(isUrgent);
    document.addEventListener('visibilitychange', () => refresh(true));
    addEventListener('online', () => refresh(true));
    setInterval(() => refresh(false), INTERVAL);
    refresh(true);
  }

  /** The time of the server's clock. */
  now() {
    return Date.now() + this.ahead;
  }

  /** Asks the server; `isUrgent` asks for the agents and the storage too. */
  async refresh(isUrgent = true) {
    const request = (this.asked += 1);
    if (isUrgent) this.detailsAt = -Infinity;
    const found = await this.find();
    if (request < this.answered) return;
    this.answered = request;
    this.current = found;
    for (const listener of this.listeners) listener(found);
  }

  async find() {
    try {
      const health = await api.health(AbortSignal.timeout(PATIENCE));
      this.ahead = Date.parse(health.timestamp) - Date.now();
      await this.findDetails();
      const problems = problemsOf(health, this.details);
      const [worst, ...others] = problems;
      if (!worst) return { kind: 'healthy', title: 'Healthy', brief: plural(health.activeSessions, 'active session'), health, problems };
      const title = problems.map((problem) => problem.title).slice(0, 3).join('; ') + (problems.length > 3 ? '; …' : '');
      return { kind: worst.kind, title, brief: worst.title + (others.length ? ` and ${others.length} more` : ''), health, problems };
    } catch (error) {
      this.detailsAt = -Infinity;
      if (error.status === 401) return { kind: 'locked', title: 'Not signed in', brief: 'Token required', problems: [] };
      const brief = error.status ? error.message : 'Not connected';
      return { kind: 'unreachable', title: brief, brief, problems: [] };
    }
  }

  /** What only administrators may see; nothing for others. */
  findDetails() {
    if (performance.now() - this.detailsAt >= DETAILS_INTERVAL) {
      this.detailsAt = performance.now();
      this.finding = this.requestDetails();
    }
    return this.finding;
  }

  async requestDetails() {
    if (!(await identity()).isAdmin) {
      this.details = {};
      return;
    }
    const signal = AbortSignal.timeout(PATIENCE);
    const [agents, storage] = await Promise.allSettled([api.agentStates(signal), api.storage(signal)]);
    this.details = { agents: agents.value, storage: storage.value };
  }
}

export const status = new Status();
