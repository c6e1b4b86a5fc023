// A call in several languages. All texts of the call are quoted, so that they stay data.

const word = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The escapes of JSON are those of JavaScript and Python too. */
const string = JSON.stringify;

const isJson = ({ bodyType }) => bodyType === 'application/json';
const header = ([name, value]) => `${string(name)}: ${string(value)}`;

function curl({ method, url, headers, body, kind, file }) {
  const isDefault = method === (body === undefined ? 'GET' : 'POST');
  return [
    `curl ${kind === 'stream' ? '-N ' : ''}${isDefault ? '' : `-X ${method} `}${word(url)}`,
    ...headers.map((pair) => `-H ${word(pair.join(': '))}`),
    // Unlike --data, this does not read a file if the text begins with @.
    body !== undefined && `--data-raw ${word(body)}`,
    kind === 'file' && `-o ${word(file)}`,
  ].filter(Boolean).join(' \\\n  ');
}

function javascript({ method, url, headers, body, kind, ...call }) {
  // In an object literal, __proto__ would set the prototype.
  const literal = body !== undefined && isJson(call) && !body.includes('__proto__');
  const options = [
    method !== 'GET' && `method: ${string(method)}`,
    headers.length && `headers: { ${headers.map(header).join(', ')} }`,
    body !== undefined && `body: ${literal ? `JSON.stringify(${body.replaceAll('\n', '\n  ')})` : string(body)}`,
  ].filter(Boolean);
  return `const response = await fetch(${string(url)}${options.length ? `, {\n  ${options.join(',\n  ')},\n}` : ''});\n${{
    json: 'console.log(response.status, await response.json());',
    text: 'console.log(response.status, await response.text());',
    file: 'const file = await response.blob();\nconsole.log(response.status, file.size);',
    stream: `const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
for (;;) {
  const { done, value } = await reader.read();
  if (done) break;
  console.log(value);
}`,
  }[kind]}`;
}

function python({ method, url, headers, body, kind, file, ...call }) {
  const given = [
    string(url),
    headers.length && `headers={${headers.map(header).join(', ')}}`,
    body !== undefined && (isJson(call) ? `json=${literal(body).replaceAll('\n', '\n    ')}` : `data=${string(body)}.encode()`),
    (kind === 'stream' || kind === 'file') && 'stream=True',
  ].filter(Boolean);
  const sent = `requests.${method.toLowerCase()}(${given.length > 1 ? `\n    ${given.join(',\n    ')},\n` : given[0]})`;
  return `import requests\n\n${{
    json: `response = ${sent}\nprint(response.status_code, response.json())`,
    text: `response = ${sent}\nprint(response.status_code, response.text)`,
    file: `with ${sent} as response, open(${string(file ?? '')}, "wb") as file:
    for chunk in response.iter_content(65536):
        file.write(chunk)`,
    stream: `with ${sent} as response:
    for line in response.iter_lines():
        print(line.decode(), flush=True)`,
  }[kind]}`;
}

/** JSON as a value of Python, with its layout and its numbers as they are. */
function literal(json) {
  const words = { true: 'True', false: 'False', null: 'None' };
  return json.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (token) => words[token] ?? string(JSON.parse(token)));
}

export const LANGUAGES = { curl, fetch: javascript, Python: python };

/** Where a JSON text is wrong, or undefined. The messages of JSON.parse often lack the position. */
export function jsonError(text) {
  let at = 0;
  const eat = (pattern) => {
    const found = new RegExp(`[ \\t\\r\\n]*(?:${pattern})`, 'y');
    found.lastIndex = at;
    return found.test(text) && ((at = found.lastIndex) || true);
  };
  const need = (pattern, name) => {
    if (!eat(pattern)) throw name;
  };
  const STRING = String.raw`"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"`;
  const list = (end, item) => {
    if (eat(end)) return;
    do item(); while (eat(','));
    need(end, `a comma or ${end.at(-1)}`);
  };
  const value = () => {
    if (eat('\\{')) {
      list('\\}', () => {
        need(STRING, 'a name in double quotes');
        need(':', 'a colon');
        value();
      });
    } else if (eat('\\[')) list('\\]', value);
    else need(String.raw`${STRING}|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null`, 'a value');
  };
  try {
    value();
    need('$', 'the end');
    return undefined;
  } catch (name) {
    eat('');
    const lines = text.slice(0, at).split('\n');
    return { at, message: `The body is not valid JSON. Line ${lines.length}, column ${lines.at(-1).length + 1}: expected ${name}.` };
  }
}
