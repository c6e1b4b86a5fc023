// Parses the text of /metrics.

const SAMPLE = /^sessiond_(\w+)(?:\{(.*)\})? (\S+)/gm;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Every sample of the server, with the metric's `name` without its prefix, its `labels` and its `value`. */
export const samplesOf = (text) => Array.from(text.matchAll(SAMPLE), ([, name, labels = '', value]) => ({
  name, labels: Object.fromEntries(Array.from(labels.matchAll(LABEL), ([, key, label]) => [key, label])), value: Number(value),
}));

/** The sum of a metric over all samples that have the labels; 0 if there are none. */
export const sum = (samples, metric, labels = {}) => samples
  .filter((sample) => sample.name === metric && Object.entries(labels).every(([key, label]) => sample.labels[key] === label))
  .reduce((total, { value }) => total + value, 0);
