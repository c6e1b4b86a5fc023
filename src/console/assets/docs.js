// The reference of the API, from /openapi.json: every call with its parameters, responses and examples.

import { emptyState, h } from './dom.js';

const main = document.querySelector('#main');

/** Text with code between backquotes. */
function prose(text = '') {
  return text.split(/(`[^`]*`)/).map((part) => (part.startsWith('`') && part.length > 2 ? h('code', {}, part.slice(1, -1)) : part));
}

/** An OpenAPI document whose references can be resolved. */
class Description {
  constructor(document) {
    this.document = document;
  }

  resolve(value) {
    if (!value?.$ref) return value ?? {};
    const path = value.$ref.replace(/^#\//, '').split('/');
    return this.resolve(path.reduce((found, key) => found?.[key], this.document));
  }

  /** The properties of a schema, including those of its parts. */
  shape(schema) {
    const { properties, required = [], allOf = [] } = this.resolve(schema);
    const parts = [...allOf.map((part) => this.shape(part)), { properties, required }];
    return {
      properties: parts.some((part) => part.properties) ? Object.assign({}, ...parts.map((part) => part.properties)) : undefined,
      required: parts.flatMap((part) => part.required),
    };
  }

  /** The calls, grouped by tag. */
  groups() {
    const all = Object.entries(this.document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ ...operation, path, method })));
    return this.document.tags.map((tag) => ({ ...tag, operations: all.filter(({ tags }) => tags?.includes(tag.name)) }));
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

  /** An example value of a schema. */
  example(schema, depth = 0) {
    const found = this.resolve(schema);
    if (found.example !== undefined) return found.example;
    if (found.enum) return found.enum[0];
    const any = !found.properties && (found.anyOf ?? found.oneOf ?? found.allOf);
    if (any) return this.example(any.find((option) => option.type !== 'null') ?? any[0], depth);
    const type = [found.type].flat().find((name) => name !== 'null');
    if (type === 'object' && depth < 6) {
      return Object.fromEntries(Object.entries(found.properties ?? {}).map(([name, value]) => [name, this.example(value, depth + 1)]));
    }
    if (type === 'array') return [this.example(found.items, depth + 1)];
    if (type === 'string') return found.format === 'uuid' ? '018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44' : found.format === 'date-time' ? '2024-01-15T10:30:45.123Z' : 'text';
    return { boolean: true, integer: found.minimum ?? 1, number: found.minimum ?? 1 }[type] ?? {};
  }
}

function code(value, label) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, undefined, 2);
  return h('pre', { class: 'sample', tabindex: '0', 'aria-label': label }, text);
}

function fields(entries, caption) {
  return h('table', { class: 'fields' }, h('caption', {}, caption),
    h('thead', {}, h('tr', {}, ...['Name', 'Type', 'Description'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', {}, ...entries.map(({ name, type, required, text }) => h('tr', {},
      h('th', { scope: 'row' }, h('code', {}, name), required && h('span', { class: 'required' }, ' required')),
      h('td', { class: 'muted' }, type),
      h('td', {}, ...prose(text))))));
}

function schemaFields(description, schema, caption) {
  const { properties, required } = description.shape(schema);
  if (!properties) return undefined;
  return fields(Object.entries(properties).map(([name, value]) => ({
    name, type: description.type(value), required: required.includes(name), text: value.description ?? description.resolve(value).description,
  })), caption);
}

function requestBody(description, { requestBody: body }) {
  if (!body) return [];
  const { schema, example, examples } = description.resolve(body).content['application/json'];
  const samples = Object.values(examples ?? { body: { value: example ?? description.example(schema) } });
  return [schemaFields(description, schema, 'Body'), ...samples.map(({ value }) => code(value, 'Example of a body'))];
}

function parameters(description, { parameters: list }) {
  if (!list?.length) return [];
  return [fields(list.map(({ name, in: place, schema, required, description: text }) => ({
    name, required, type: `${description.type(schema)}, ${{ query: 'in the query', path: 'in the path', header: 'a header' }[place]}`, text,
  })), 'Parameters')];
}

/** The fields of a response, unless they are shared, and its examples. */
function samplesOf(description, { schema, example, examples = {} }, isError) {
  const named = Object.entries(examples);
  const shown = named.length ? named : [['response', { value: example ?? description.example(schema) }]];
  const samples = shown.flatMap(([name, { value }]) => [
    (isError || named.length > 1) && h('p', { class: 'sample-name muted' }, isError ? value.error?.type ?? name : name),
    code(value, `Example: ${name}`)]);
  const isShared = schema.$ref === '#/components/schemas/ApiError';
  return [!isShared && schemaFields(description, schema, 'Fields'), ...samples];
}

/** The events of a stream, with their fields and examples. */
function events(description, { schema, examples = {} }) {
  const samples = Object.values(examples).map(({ value }) => value);
  return description.resolve(schema).oneOf.flatMap((option) => {
    const { properties } = description.resolve(option);
    const name = properties.event.const;
    return [schemaFields(description, properties.data.contentSchema, name),
      ...samples.filter(({ event }) => event === name).map(({ data }) => code(JSON.parse(data), `Example of ${name}`))];
  });
}

function response(description, status, value) {
  const { description: text, content = {} } = description.resolve(value);
  const [type, media] = Object.entries(content)[0] ?? [];
  const isError = Number(status) >= 400;
  const samples = {
    'application/json': () => samplesOf(description, media, isError),
    'text/event-stream': () => events(description, media),
  }[type]?.() ?? Object.values(media?.examples ?? {}).map((sample) => code(sample.value, 'Example'));
  return h('details', { open: false }, h('summary', {},
    h('span', { class: isError ? 'status bad' : 'status' }, status), ' ', ...prose(text), type && type !== 'application/json' && h('span', { class: 'muted' }, ` · ${type}`)),
  ...samples.filter(Boolean));
}

function operation(description, call) {
  const { operationId, method, path, summary, description: text, responses, security } = call;
  const isOpen = security?.length === 0;
  const statuses = Object.entries(responses).sort(([a], [b]) => a - b);
  return h('section', { class: 'operation card', id: operationId, 'aria-labelledby': `${operationId}-title` },
    h('h3', { id: `${operationId}-title` }, summary),
    h('p', { class: 'call' }, h('span', { class: `method ${method}` }, method.toUpperCase()), h('code', {}, path)),
    h('p', {}, ...prose(text), isOpen && ' No credentials are required.'),
    ...parameters(description, call), ...requestBody(description, call),
    h('h4', {}, 'Responses'), ...statuses.map(([status, value]) => response(description, status, value)));
}

async function show() {
  const response = await fetch('/openapi.json');
  if (!response.ok) throw new Error(`The server responded with status ${response.status}.`);
  const description = new Description(await response.json());
  const { info } = description.document;
  const groups = description.groups();
  const contents = h('nav', { class: 'contents', 'aria-label': 'Calls' }, ...groups.flatMap(({ name, operations }) => [
    h('p', { class: 'muted' }, name),
    h('ul', {}, ...operations.map(({ operationId, summary }) => h('li', {}, h('a', { href: `#${operationId}` }, summary))))]));
  const head = h('div', {}, h('h1', {}, 'The API'), h('p', { class: 'summary' }, `${info.title} ${info.version}`),
    ...info.description.split('\n\n').map((text) => h('p', { class: 'lead' }, ...prose(text))));
  main.replaceChildren(h('div', { class: 'docs' }, contents, h('div', { class: 'view' }, head,
    ...groups.flatMap(({ name, description: text, operations }) => [
      h('h2', { class: 'group' }, name[0].toUpperCase() + name.slice(1), h('span', { class: 'muted' }, text)),
      ...operations.map((call) => operation(description, call))]))));
  // The target of the fragment exists only now.
  if (location.hash.length > 1) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

show().catch((error) => main.replaceChildren(emptyState('The reference cannot be shown', error.message)));
