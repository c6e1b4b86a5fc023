// A call in several languages. All texts of the call are quoted, so that they stay data.

/** The escapes of JSON are those of JavaScript and Python too. */
const string = JSON.stringify;

/** A word of a shell. */
const word = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const object = (pairs) => `{ ${pairs.map(([name, value]) => `${string(name)}: ${string(value)}`).join(', ')} }`;

/** The parts that are there, on lines of their own. */
const lines = (parts, indent) => parts.filter(Boolean).map((part) => `${indent}${part.replaceAll('\n', `\n${indent}`)},\n`).join('');

function curl({ method, url, headers, body, kind }) {
  return [
    `curl ${kind === 'stream' ? '-N ' : ''}${method === 'GET' ? '' : `-X ${method} `}${word(url)}`,
    ...headers.map((pair) => `-H ${word(pair.join(': '))}`),
    // Unlike --data, this does not read a file if the text begins with @.
    body && `--data-raw ${word(body)}`,
    kind === 'blob' && '-OJ',
  ].filter(Boolean).join(' \\\n  ');
}

function javascript({ method, url, headers, body, kind, isJson }) {
  const options = lines([
    method !== 'GET' && `method: ${string(method)}`,
    headers.length && `headers: ${object(headers)}`,
    // In an object literal, __proto__ would set the prototype.
    body && `body: ${!isJson || body.includes('__proto__') ? string(body) : `JSON.stringify(${body})`}`,
  ], '  ');
  const read = kind === 'stream'
    ? 'for await (const text of response.body.pipeThrough(new TextDecoderStream())) console.log(text);'
    : `console.log(response.status, await response.${kind}());`;
  return `const response = await fetch(${string(url)}${options && `, {\n${options}}`});\n${read}`;
}

function python({ method, url, headers, body, kind, isJson }) {
  const call = `requests.${method.toLowerCase()}(\n${lines([
    string(url),
    headers.length && `headers=${object(headers)}`,
    body && (isJson ? `json=${literal(body)}` : `data=${string(body)}.encode()`),
    (kind === 'stream' || kind === 'blob') && 'stream=True',
  ], '    ')})`;
  return `import requests\n\n${{
    json: `response = ${call}\nprint(response.status_code, response.json())`,
    text: `response = ${call}\nprint(response.status_code, response.text)`,
    blob: `with ${call} as response, open("download", "wb") as file:
    for chunk in response.iter_content(65536):
        file.write(chunk)`,
    stream: `with ${call} as response:
    for line in response.iter_lines():
        print(line.decode(), flush=True)`,
  }[kind]}`;
}

/** JSON as a value of Python, with its layout and its numbers as they are. */
function literal(json) {
  const words = { true: 'True', false: 'False', null: 'None' };
  return json.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (token) => words[token] ?? string(JSON.parse(token)));
}

/** Each writes a call `{ method, url, headers, body, kind, isJson }`, whose body is JSON or text. */
export const LANGUAGES = { curl, fetch: javascript, Python: python };
