// Formats times, sizes and numbers.

const number = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const moment = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'medium' });

/** An integer with thousands separators. */
export const count = (value) => number.format(value);

/** `1 session`, `2 sessions`. */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** The time of day. */
export const timeOfDay = (time) => clock.format(new Date(time));

/** A date and time, as short as it can be. */
export const shortTime = (time) => moment.format(new Date(time));

/** A date and time in full. */
export const fullTime = (time) => full.format(new Date(time));

/** A duration in at most two units: `2 h 5 min`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const two = (a, unitA, b, unitB) => (b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);
  if (days) return two(days, 'd', hours % 24, 'h');
  if (hours) return two(hours, 'h', minutes % 60, 'min');
  if (minutes) return minutes < 10 ? two(minutes, 'min', seconds % 60, 's') : `${minutes} min`;
  return `${seconds} s`;
}

/** The time since a point in time, or its date if that is long ago. */
export function ago(time, now = Date.now()) {
  const ms = now - new Date(time);
  if (ms < 5000) return 'just now';
  if (ms < 86_400_000) return `${duration(ms).split(' ').slice(0, 2).join(' ')} ago`;
  return moment.format(new Date(time));
}

/** A number of bytes, in a suitable unit. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  for (; value >= 1024 && step < units.length - 1; step += 1) value /= 1024;
  return `${round(value)} ${units[step]}`;
}

/** A number of seconds, in a suitable unit. */
export function seconds(value) {
  if (value === 0) return '0 s';
  if (value < 0.001) return `${round(value * 1e6)} µs`;
  if (value < 1) return `${round(value * 1000)} ms`;
  return `${round(value)} s`;
}

/** A number with about three digits. */
export function round(value) {
  if (value >= 100) return count(Math.round(value));
  return String(Number(value.toFixed(value >= 10 ? 1 : 2)));
}

/** The end of an id, which distinguishes it from others. */
export const short = (id) => `…${id.slice(-8)}`;

/** The name of a session's user in its metadata, if any. */
export function nameOf({ metadata }) {
  const name = metadata.username ?? metadata.name;
  return typeof name === 'string' && name ? name : undefined;
}
