// Parses the text of /metrics.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A snapshot of the metrics. */
export class Metrics {
  constructor(text) {
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
}
