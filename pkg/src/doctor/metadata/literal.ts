/** A reader of objects in JSON or JavaScript that knows where each member is, so that one of them can be replaced. */

/** A member of an object: its value, and the places of its name and of its value in the text. */
export interface MemberText {
  name: string
  value: unknown
  nameStart: number
  start: number
  end: number
}

/** An object, and the place after it. */
export interface ObjectText {
  members: MemberText[]
  start: number
  end: number
}

const TOKEN = /(?:\s|\/\/.*|\/\*[^]*?\*\/)*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w$.+-]+|[{}[\]:,])/y

/** The deepest object that is read. */
const MAX_DEPTH = 64

/** Reads the object at a place in a text. @throws SyntaxError if there is anything except names, strings, numbers and lists */
export const readObject = (text: string, at: number): ObjectText => {
  let place = at
  const next = (): { token: string; start: number; end: number } => {
    TOKEN.lastIndex = place
    const [, token] = TOKEN.exec(text) ?? []
    if (token === undefined) throw new SyntaxError(`line ${lineOf(text, place)}`)
    place = TOKEN.lastIndex
    return { token, start: place - token.length, end: place }
  }
  const peek = () => {
    const before = place
    const { token } = next()
    place = before
    return token
  }
  const expect = (expected: string) => {
    const found = next()
    if (found.token !== expected) throw new SyntaxError(`line ${lineOf(text, found.start)}`)
    return found
  }
  /** Reads items up to the closing token. */
  const items = (close: string, read: () => void) => {
    while (peek() !== close) {
      read()
      if (peek() !== close) expect(',')
    }
    return expect(close).end
  }
  const object = (depth: number): ObjectText => {
    const { start } = expect('{')
    const members: MemberText[] = []
    const end = items('}', () => {
      const name = next()
      expect(':')
      const { value, start: from, end: to } = anyValue(depth + 1)
      members.push({ name: nameOf(text, name), value, nameStart: name.start, start: from, end: to })
    })
    return { members, start, end }
  }
  const anyValue = (depth: number): { value: unknown; start: number; end: number } => {
    if (depth > MAX_DEPTH) throw new SyntaxError(`line ${lineOf(text, place)}`)
    const first = peek()
    if (first === '{') {
      const { members, start, end } = object(depth)
      return { value: valueOf(members), start, end }
    }
    if (first === '[') {
      const { start } = expect('[')
      const list: unknown[] = []
      const end = items(']', () => list.push(anyValue(depth + 1).value))
      return { value: list, start, end }
    }
    const { token, start, end } = next()
    return { value: primitive(text, token, start), start, end }
  }
  return object(0)
}

/** Returns the object with these members. */
export const valueOf = (members: MemberText[]): Record<string, unknown> =>
  // `fromEntries` defines members, so `__proto__` is one like any other.
  Object.fromEntries(members.map(({ name, value }) => [name, value]))

const lineOf = (text: string, place: number) => text.slice(0, place).split('\n').length

const nameOf = (text: string, { token, start }: { token: string; start: number }): string =>
  /^["']/.test(token) ? (primitive(text, token, start) as string) : token

const primitive = (text: string, token: string, start: number): unknown => {
  try {
    // In single quotes, `'` is escaped and `"` is not.
    const json = token.startsWith("'")
      ? `"${token.slice(1, -1).replace(/\\.|"/g, (part) => (part === '"' ? '\\"' : part === "\\'" ? "'" : part))}"`
      : token
    return JSON.parse(json)
  } catch {
    throw new SyntaxError(`line ${lineOf(text, start)}`)
  }
}
