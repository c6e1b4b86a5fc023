// Compares what sessiond reads in `.env` files with npm's dotenv.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import dotenv from 'dotenv'

const cases = JSON.parse(readFileSync(process.env.SESSIOND_ENV_FILE_CASES, 'utf8'))

const ASSIGNMENT = /^\s*(?:export\s+)?[\w.-]+\s*=/
// dotenv's pattern of an assignment with a quoted value, on a line and those after it.
const QUOTED =
  /^\s*(?:export\s+)?[\w.-]+[^\S\n]*=[^\S\n]*('(?:\\'|[^'])*'|"(?:\\"|[^"])*"|`(?:\\`|[^`])*`)\s*(?:#.*)?$/m

// The only reasons for which sessiond may refuse what dotenv reads, and how each shows in the line
// and those after it.
const REASONS = {
  NotAnAssignment: (line) => !ASSIGNMENT.test(line) && /\S/.test(line) && !/^\s*#/.test(line),
  Colon: (line) => /^\s*(?:export\s+)?[\w.-]+:(?:\s|$)/.test(line),
  HashInValue: (line) => /^(?:[^#]*[^\s#])?#/.test(value(line)) && !isOpened(line),
  UnclosedQuote: (line, rest) => isOpened(line) && !isQuoted(rest),
  TextAfterQuote: (line, rest) => isOpened(line) && !isQuoted(rest) && /(['"`])[^]*\1[^]*\S/.test(line),
  UnclearEnd: (line, rest) => isQuoted(rest) && /\\['"`][^\S\n]*[\n#\u2028\u2029]/.test(rest),
  LineSeparator: (line) => /[\u2028\u2029]/.test(line)
}

function value (line) {
  return line.replace(ASSIGNMENT, '')
}

function isOpened (line) {
  return ASSIGNMENT.test(line) && /^\s*['"`]/.test(value(line))
}

function isQuoted (rest) {
  const match = QUOTED.exec(rest)
  return match !== null && match.index === 0
}

test('accepted files are read as dotenv reads them', () => {
  let accepted = 0
  let values = 0
  for (const { text, values: read } of cases) {
    if (read === undefined) continue
    accepted += 1
    values += Object.keys(read).length
    assert.deepEqual({ ...dotenv.parse(text) }, read, JSON.stringify(text))
    assert.deepEqual({ ...dotenv.parse(Buffer.from(text)) }, read, JSON.stringify(text))
  }
  console.log(`${accepted} files with ${values} values were read alike`)
  assert.ok(accepted > 20_000 && values > 50_000, `${accepted}, ${values}`)
})

test('files are refused only for documented reasons', () => {
  const seen = {}
  for (const { text, refused } of cases) {
    if (refused === undefined) continue
    const { kind, line } = refused
    const rest = text.replace(/\r\n?/g, '\n').split('\n').slice(line - 1).join('\n')
    const applies = REASONS[kind]
    assert.ok(applies, `${kind} is not documented`)
    assert.ok(applies(rest.split('\n')[0], rest), `${kind} in line ${line} of ${JSON.stringify(text)}`)
    seen[kind] = (seen[kind] ?? 0) + 1
  }
  console.log(seen)
  for (const kind of Object.keys(REASONS)) assert.ok(seen[kind] >= 10, `${kind} is hardly tried`)
})

test('files that follow the grammar are accepted', () => {
  for (const { text, isSound, refused } of cases) {
    if (isSound) assert.equal(refused, undefined, `${JSON.stringify(refused)}: ${JSON.stringify(text)}`)
  }
})
