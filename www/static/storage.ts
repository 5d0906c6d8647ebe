/**
 * A stand-in for localStorage, which a browser refuses to a sandboxed frame. The frame has no origin, and so no storage,
 * to keep its token apart from the page that is searched. Like localStorage, the stand-in is an object of the window
 * that any script in the frame can read.
 */
import { home } from './addresses.js'

// Outside of the sandboxed frame, this page has the origin of the demo.
if (self.origin !== 'null') location.replace(home)

function createStorage(): object {
  const method = (value: (...parameters: string[]) => unknown) => ({ value, enumerable: false })
  const entries: Record<string, string> = {}
  return Object.defineProperties(entries, {
    getItem: method((key = '') => (Object.hasOwn(entries, key) ? entries[key] : null)),
    setItem: method((key = '', value = '') => {
      entries[key] = value
    }),
    removeItem: method((key = '') => {
      delete entries[key]
    }),
  })
}

for (const name of ['localStorage', 'sessionStorage']) {
  Object.defineProperty(window, name, { value: createStorage(), configurable: true })
}

// In a sandboxed frame of Chromium, `indexedDB.databases()` throws, and also leaves a rejected promise behind.
Object.defineProperty(window, 'indexedDB', { value: { databases: async () => [] }, configurable: true })
