// Formats times, sizes and numbers.

const number = new Intl.NumberFormat('en');

/** Formats times, which are numbers or texts. */
function timeFormat(options) {
  const format = new Intl.DateTimeFormat('en-GB', options);
  return (time) => format.format(new Date(time));
}

/** An integer with thousands separators. */
export const count = (value) => number.format(value);

/** `1 session`, `2 sessions`. */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** The time of day. */
export const timeOfDay = timeFormat({ hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** A date and time, as short as it can be. */
export const shortTime = timeFormat({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

/** A date and time in full. */
export const fullTime = timeFormat({ dateStyle: 'long', timeStyle: 'medium' });

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
  return shortTime(time);
}

/** A value in the largest unit of which it has at least one. */
function scaled(value, base, [unit, ...larger]) {
  return value < base || !larger.length ? `${round(value)} ${unit}` : scaled(value / base, base, larger);
}

/** A number of bytes, in a suitable unit. */
export const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);

/** A number of seconds, in a suitable unit. */
export const seconds = (value) => (value ? scaled(value * 1e6, 1000, ['µs', 'ms', 's']) : '0 s');

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
