// The OpenAPI document, and the documentation of its operations.

import { copyButton } from './copy.js';
import { h } from './dom.js';

/** How the responses of a media type are read. Others are JSON. */
const KINDS = { 'text/event-stream': 'stream', 'application/x-ndjson': 'stream', 'text/plain': 'text', 'application/octet-stream': 'blob' };

/** Replaces the references in a part of a document. */
function resolve(part, document) {
  for (const [key, value] of Object.entries(part ?? {})) {
    if (typeof value !== 'object') continue;
    part[key] = value?.$ref ? { ...value.$ref.split('/').slice(1).reduce((found, name) => found[name], document), ...value } : value;
    resolve(part[key], document);
  }
}

/** The operations of a document. */
export function operationsOf(document) {
  resolve(document, document);
  return Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => {
    const { summary, description = '', operationId, tags, responses, requestBody, security } = operation;
    const [type] = contentOf(Object.values(responses)[0]);
    return {
      ...operation, path, method, description,
      kind: KINDS[type.split(';')[0]] ?? 'json',
      body: requestBody && contentOf(requestBody)[1],
      bodyType: contentOf(requestBody)[0],
      isPublic: security?.length === 0,
      /** The roles that may call, or undefined if all may. */
      roles: operation['x-roles'],
      text: [method, path, summary, operationId, description, tags].join(' ').toLowerCase(),
    };
  }));
}

/** The media type of a request or response, and its content. */
const contentOf = ({ content = {} } = {}) => Object.entries(content)[0] ?? ['', {}];

/** The examples of a content: `[name, value]`. */
export const examplesOf = ({ example = {}, examples = { example: { value: example } } }) => Object.entries(examples).map(([name, { value }]) => [name, value]);

/** The events of an operation's stream, with their examples. */
export function eventsOf({ responses }) {
  const { schema, examples } = contentOf(responses[200])[1];
  return schema.oneOf.map(({ properties: { event, data } }) => ({
    name: event.const, schema: data.contentSchema,
    samples: Object.values(examples).filter(({ value }) => value.event === event.const).map(({ value }) => JSON.parse(value.data)),
  }));
}

/** An example of each error: `[status, body]`. */
export function errorsOf(operations) {
  const all = operations.flatMap(({ responses }) => Object.entries(responses).flatMap(([status, response]) =>
    examplesOf(contentOf(response)[1]).map(([, value]) => [status, value])));
  const found = new Map(all.filter(([, { error }]) => error?.type).map((each) => [each[0] + each[1].error.type, each]));
  return [...found.values()].sort(([a], [b]) => a - b);
}

/** A schema's type in words. */
function typeOf({ allOf, type = allOf ? 'object' : 'any', enum: values, anyOf, oneOf = anyOf, items = {}, format = 'int' }) {
  const or = (options) => [...new Set(options)].join(' or ');
  if (values) return or(values.map((value) => JSON.stringify(value)));
  if (oneOf) return or(oneOf.map(typeOf));
  return or([type].flat().map((each) => (each === 'array' ? `array of ${typeOf(items)}` : each))) + (/^int|^double/.test(format) ? '' : ` (${format})`);
}

const row = (name, type, text, isRequired) => [[code(name), isRequired && h('span', { class: 'hint' }, ' required')], type, prose(text)];

/** Rows of the fields of a schema, including those of its parts and objects. */
function fields({ properties = {}, required = [], allOf = [] } = {}, prefix = '') {
  return [...allOf.flatMap((part) => fields(part, prefix)), ...Object.entries(properties).flatMap(([key, value]) => {
    const object = value.oneOf?.find(({ $ref }) => $ref) ?? value;
    return [row(prefix + key, typeOf(value), value.description ?? object.description, required.includes(key)), ...(prefix ? [] : fields(object, `${key}.`))];
  })];
}

export const code = (text) => h('code', {}, text);
export const methodOf = (method) => h('span', { class: `chip method ${method}` }, method);
export const statusOf = (status) => h('code', { class: status >= 400 && 'problem' }, status);

/** Text with code between backquotes. */
export const prose = (text = '') => text.split('`').map((part, index) => (index % 2 ? code(part) : part));

export function sample(value, label) {
  return h('pre', { class: 'sample', tabindex: '0', role: 'group', 'aria-label': label }, typeof value === 'string' ? value : JSON.stringify(value, undefined, 2));
}

/** A sample below its heading and a button that copies it. */
export const copyable = (heading, shown) => h('div', {}, h('div', { class: 'tabs' }, heading, copyButton(() => shown.textContent)), shown);

/** A table, of rows whose first cell is their header. */
export function table(caption, columns, rows) {
  const cells = (name, properties, list) => list.map((cell) => h(name, properties, cell));
  return rows.length > 0 && h('table', { class: 'fields' }, h('caption', {}, caption),
    h('thead', {}, h('tr', {}, ...cells('th', { scope: 'col' }, columns))),
    h('tbody', {}, ...rows.map(([first, ...rest]) => h('tr', {}, h('th', { scope: 'row' }, first), ...cells('td', {}, rest)))));
}

const fieldTable = (caption, rows) => table(caption, ['Name', 'Type', 'Description'], rows);

/** A part that is built when it is first opened, since most never are. */
function fold(summary, build) {
  const element = h('details', {}, h('summary', {}, ...summary));
  element.addEventListener('toggle', () => element.append(h('div', { class: 'parts' }, ...build())), { once: true });
  return element;
}

/** The fields and examples of events. */
export const eventList = (events) => events.map(({ name, schema, samples }) => fold(
  [code(name), ' ', h('span', { class: 'muted' }, ...prose(schema.description))],
  () => [fieldTable('Fields', fields(schema)), ...samples.map((value) => sample(value, `Example of ${name}`))]));

/** The documentation of an operation. */
export function documentation(operation) {
  const { description, isPublic, parameters = [], body, responses } = operation;
  return h('div', { class: 'parts' },
    h('p', {}, ...prose(description), isPublic && ' No credentials are required.'),
    fieldTable('Parameters', parameters.map(({ name, in: place, schema, required, description: text }) => row(name, `${typeOf(schema)}, in the ${place}`, text, required))),
    body && fieldTable('Body', fields(body.schema)),
    h('div', {}, h('h4', {}, 'Responses'), ...Object.entries(responses).map(([status, response]) => responseOf(operation, status, response))));
}

function responseOf(operation, status, response) {
  const [type, media] = contentOf(response);
  return fold(
    [statusOf(status), ' ', ...prose(response.description), type !== 'application/json' && h('span', { class: 'muted' }, ` · ${type}`)],
    () => (type === 'text/event-stream' ? eventList(eventsOf(operation)) : [
      status < 400 && fieldTable('Fields', fields(media.schema)),
      ...examplesOf(media).flatMap(([name, value]) => [h('p', { class: 'muted' }, value.error?.type ?? name), sample(value, `Example: ${name}`)])]));
}
