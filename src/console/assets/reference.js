// The OpenAPI document, and the documentation of its operations.

import { h } from './dom.js';

const PLACES = { query: 'in the query', path: 'in the path', header: 'a header' };
const KINDS = { 'text/event-stream': 'stream', 'application/octet-stream': 'file', 'application/x-ndjson': 'file', 'text/plain': 'text' };

/** The examples of a body: `[name, value]`. */
export const examplesOf = ({ example, examples = { example: { value: example ?? {} } } }) => Object.entries(examples).map(([name, { value }]) => [name, value]);

/** An OpenAPI document whose references can be resolved. */
export class Description {
  constructor(document) {
    this.document = document;
    this.operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => {
      const { summary, description = '', operationId, tags, responses, requestBody, security } = operation;
      const [success] = Object.keys(responses).sort();
      const [type = ''] = Object.keys(this.resolve(responses[success]).content ?? {});
      const [bodyType, body] = Object.entries(this.resolve(requestBody).content ?? {})[0] ?? [];
      return {
        ...operation, path, method, description, body, bodyType,
        isPublic: security?.length === 0,
        /** The roles that may call, or undefined if all may. */
        roles: operation['x-roles'],
        kind: KINDS[type.split(';')[0]] ?? 'json',
        text: [method, path, summary, operationId, description, tags].join(' ').toLowerCase(),
      };
    }));
  }

  resolve(value) {
    if (!value?.$ref) return value ?? {};
    return this.resolve(value.$ref.slice(2).split('/').reduce((found, key) => found?.[key], this.document));
  }

  /** The fields of a schema, including those of its parts and objects. */
  fields(schema, prefix = '') {
    const { properties = {}, required = [], allOf = [] } = this.resolve(schema);
    return [...allOf.flatMap((part) => this.fields(part, prefix)), ...Object.entries(properties).flatMap(([key, value]) => {
      const object = value.oneOf?.find(({ $ref }) => $ref) ?? value;
      const text = value.description ?? this.resolve(object).description;
      return [[prefix + key, this.type(value), text, required.includes(key)], ...(prefix ? [] : this.fields(object, `${key}.`))];
    })];
  }

  /** A schema's type in words. */
  type(schema) {
    const found = this.resolve(schema);
    if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(' or ');
    const any = found.anyOf ?? found.oneOf;
    if (any) return [...new Set(any.map((option) => this.type(option)))].join(' or ');
    if (found.allOf && !found.type) return 'object';
    const types = [found.type ?? 'any'].flat().map((type) => (type === 'array' ? `array of ${this.type(found.items)}` : type));
    const format = found.format && !/^int|^double/.test(found.format) ? ` (${found.format})` : '';
    return types.join(' or ') + format;
  }

  /** The events of an operation's stream, with their examples. */
  events({ responses }) {
    const { schema, examples } = this.resolve(responses[200]).content['text/event-stream'];
    const samples = Object.values(examples).map(({ value }) => value);
    return this.resolve(schema).oneOf.map((option) => {
      const { event, data } = this.resolve(option).properties;
      const own = samples.filter((sample) => sample.event === event.const);
      return { name: event.const, schema: data.contentSchema, text: this.resolve(data.contentSchema).description, samples: own.map((sample) => JSON.parse(sample.data)) };
    });
  }

  /** An example of each error: `[status, body]`. */
  errors() {
    const all = this.operations.flatMap(({ responses }) => Object.entries(responses).filter(([status]) => status >= 400).flatMap(([status, response]) =>
      examplesOf(this.resolve(response).content['application/json']).map(([, value]) => [status, value])));
    const found = new Map(all.filter(([, { error }]) => error).map((each) => [each[0] + each[1].error.type, each]));
    return [...found.values()].sort(([a], [b]) => a - b);
  }
}

/** Text with code between backquotes. */
export const prose = (text = '') => text.split(/`([^`]*)`/).map((part, index) => (index % 2 ? h('code', {}, part) : part));

export function sample(value, label) {
  return h('pre', { class: 'sample', tabindex: '0', 'aria-label': label }, typeof value === 'string' ? value : JSON.stringify(value, undefined, 2));
}

/** A table, of rows whose first cell is their header. */
export function table(caption, columns, rows) {
  const cells = (name, properties, list) => list.map((cell) => h(name, properties, cell));
  return rows.length > 0 && h('table', { class: 'fields' }, h('caption', {}, caption),
    h('thead', {}, h('tr', {}, ...cells('th', { scope: 'col' }, columns))),
    h('tbody', {}, ...rows.map(([first, ...rest]) => h('tr', {}, h('th', { scope: 'row' }, first), ...cells('td', {}, rest)))));
}

export function fieldTable(rows, caption) {
  return table(caption, ['Name', 'Type', 'Description'], rows.map(([name, type, text, isRequired]) => [
    [h('code', {}, name), isRequired && h('span', { class: 'required' }, ' required')], type, prose(text)]));
}

const builders = new WeakMap();

/** A closed part, whose content is built when it is opened. */
export function fold(properties, summary, build) {
  const element = h('details', { ...properties, ontoggle: () => element.open && unfold(element) }, h('summary', {}, ...summary));
  builders.set(element, build);
  // Before the browser opens it, so that it is never seen empty.
  element.firstChild.addEventListener('click', () => fill(element));
  return element;
}

function fill(element) {
  const build = builders.get(element);
  builders.delete(element);
  if (build) element.append(h('div', { class: 'folded' }, ...build()));
}

export function unfold(element) {
  fill(element);
  element.open = true;
}

/** The fields and examples of an event. */
export const eventParts = (description, { name, schema, samples }) =>
  [fieldTable(description.fields(schema), name), ...samples.map((value) => sample(value, `Example of ${name}`))];

/** The documentation of an operation. */
export function documentation(description, { description: text, responses, isPublic, body, parameters = [], ...operation }) {
  return h('div', {},
    h('p', {}, ...prose(text), isPublic && ' No credentials are required.'),
    fieldTable(parameters.map(({ name, in: place, schema, required, description: about }) => [name, `${description.type(schema)}, ${PLACES[place]}`, about, required]), 'Parameters'),
    body && fieldTable(description.fields(body.schema), 'Body'),
    h('h4', {}, 'Responses'), ...Object.entries(responses).sort(([a], [b]) => a - b).map(([status, value]) => response(description, { ...operation, responses }, status, value)));
}

function response(description, operation, status, value) {
  const { description: text, content = {} } = description.resolve(value);
  const [type, media] = Object.entries(content)[0] ?? [];
  const isError = status >= 400;
  const build = () => {
    if (!media) return [];
    if (type === 'text/event-stream') return description.events(operation).flatMap((event) => eventParts(description, event));
    const examples = examplesOf(media);
    return [!isError && fieldTable(description.fields(media.schema), 'Fields'), ...examples.flatMap(([name, example]) => [
      (isError || examples.length > 1) && h('p', { class: 'muted' }, example.error?.type ?? name), sample(example, `Example: ${name}`)])];
  };
  return fold({}, [h('span', { class: isError ? 'status bad' : 'status' }, status), ' ', ...prose(text), type && type !== 'application/json' && h('span', { class: 'muted' }, ` · ${type}`)], build);
}
