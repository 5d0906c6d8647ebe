/** Ways in which script of the app's pages tries to read the address of an authorization response. */

/**
 * Shows the URL in the way of this name. Resolves with all that script can read of the response's address, by place. Runs
 * in a page: the function uses nothing outside. The page's variable `hasBegun` is true when the function reads the window
 * that shows the URL. If a test sets the page's variable `isOver`, the function reads a last time.
 *
 * - `frame`, `embed`: the response is in an element of the page.
 * - `nested frame`: the page frames `/plain`, an own page without headers, and puts the frame there.
 * - `report`: the page adds a policy that lets a frame show the provider only. The report of the blocked redirect names
 *   the address.
 * - `report in a window`: the same in a window with `/plain`, which the page has opened. With a path in the name, such as
 *   `report in a window at /icon.png`, the window shows this path.
 * - `popup`
 * - `opener`: another page has opened this one, and shows the response in its own window.
 * - `history`: the user has gone back from the response to this page.
 *
 * @param {string} way
 * @param {string} url The authorization request.
 * @param {number} limit In milliseconds.
 * @returns {Promise<Record<string, string>>}
 */
export async function readAddress(way, url, limit) {
  const seen = {}
  const [kind, plain = '/plain'] = way.split(' at ')
  const frameIn = (page) => {
    const frame = page.createElement('iframe')
    // Without scripts, the callback page cannot remove the response.
    frame.setAttribute('sandbox', 'allow-same-origin')
    frame.src = url
    page.body.append(frame)
    return frame.contentWindow
  }
  const reportIn = (page) => {
    page.addEventListener('securitypolicyviolation', ({ blockedURI }) => {
      if (blockedURI.includes('code=')) seen.report = blockedURI
    })
    const policy = page.createElement('meta')
    policy.httpEquiv = 'Content-Security-Policy'
    policy.content = `frame-src ${new URL(url).origin}`
    page.head.append(policy)
    return frameIn(page)
  }
  const windows = {
    frame: () => frameIn(document),
    embed: async () => {
      const element = document.createElement('embed')
      Object.assign(element, { name: 'embedded', src: url, type: 'text/html' })
      document.body.append(element)
      globalThis.hasBegun = true
      // The name means the element at first, and a moment later its window, unless the page's policy forbids this.
      const end = performance.now() + 10_000
      while (!window.embedded?.window && performance.now() < end && !globalThis.isOver)
        await new Promise((next) => setTimeout(next, 20))
      return window.embedded
    },
    'nested frame': async () => {
      const outer = document.createElement('iframe')
      outer.src = '/plain'
      const loaded = new Promise((resolve) => (outer.onload = outer.onerror = resolve))
      document.body.append(outer)
      await loaded
      // Null if the page's policy forbids the frame.
      return outer.contentDocument && frameIn(outer.contentDocument)
    },
    report: () => reportIn(document),
    'report in a window': async () => {
      const child = open(plain)
      const isLoaded = () => child.location.pathname === plain && child.document.readyState === 'complete'
      // The policies of the page and of the window may separate the two. The window then looks closed.
      while (!child.closed) {
        try {
          if (isLoaded()) return reportIn(child.document)
        } catch {
          // The window is about to be separated.
        }
        await new Promise((next) => setTimeout(next, 20))
      }
    },
    popup: () => open(url, '_blank', 'popup'),
    opener: () => opener,
    history: () => window,
  }
  const target = await windows[kind]()
  globalThis.hasBegun = true
  const places = {
    location: () => target.location.href,
    performance: () =>
      target.performance
        .getEntries()
        .map(({ name }) => name)
        .join(),
    'navigation entries': () =>
      target.navigation
        .entries()
        .map((entry) => entry.url)
        .join(),
    'navigation.activation': () =>
      [target.navigation.activation.entry.url, target.navigation.activation.from?.url].join(),
    referrer: () => target.document.referrer,
  }
  let end = performance.now() + limit
  let isLast = false
  while (performance.now() < end && !isLast) {
    isLast = Boolean(globalThis.isOver)
    for (const [place, get] of Object.entries(places)) {
      try {
        const text = get()
        if (text.includes('code=')) seen[place] = text
      } catch {
        // The window is at another origin, or the engine does not have this place.
      }
    }
    // The other places have the address a moment later.
    if (Object.keys(seen).length) {
      const isComplete = Object.keys(places).every((place) => seen[place] || place === 'referrer')
      end = Math.min(end, performance.now() + (isComplete || seen.report ? 300 : 3000))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  if (way === 'popup') target?.close()
  return seen
}
