// Parses the text of /metrics.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A snapshot of the metrics. */
export class Metrics {
  constructor(text) {
    this.at = performance.now();
    this.samples = new Map();
    for (const line of text.split('\n')) {
      const [, name, labels = '', value] = LINE.exec(line) ?? [];
      if (!name) continue;
      const sample = { labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])), value: Number(value) };
      if (!this.samples.has(name)) this.samples.set(name, []);
      this.samples.get(name).push(sample);
    }
  }

  all(name) {
    return this.samples.get(name) ?? [];
  }

  /** The sum over all matching labels; 0 if there is no such metric. */
  sum(name, matches = () => true) {
    return this.all(name).filter(({ labels }) => matches(labels)).reduce((sum, { value }) => sum + value, 0);
  }

  /** The growth of a counter per second since an earlier snapshot. */
  rate(name, earlier, matches) {
    const grown = this.sum(name, matches) - earlier.sum(name, matches);
    // A restart resets the counters.
    return Math.max(0, grown) / ((this.at - earlier.at) / 1000);
  }

  /** A quantile of the observations since an earlier snapshot; undefined if there were none. */
  quantile(name, share, earlier, matches = () => true) {
    const buckets = new Map();
    for (const [metrics, sign] of [[this, 1], [earlier, -1]]) {
      for (const { labels, value } of metrics.all(`${name}_bucket`)) {
        if (!matches(labels)) continue;
        const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
        buckets.set(bound, (buckets.get(bound) ?? 0) + sign * value);
      }
    }
    const sorted = [...buckets].sort(([a], [b]) => a - b);
    const total = sorted.at(-1)?.[1] ?? 0;
    if (total <= 0) return undefined;
    let below = { bound: 0, seen: 0 };
    for (const [bound, seen] of sorted) {
      if (seen >= share * total) {
        if (bound === Infinity) return below.bound;
        const inside = seen - below.seen;
        return below.bound + (bound - below.bound) * (inside ? (share * total - below.seen) / inside : 1);
      }
      below = { bound, seen };
    }
    return below.bound;
  }
}
