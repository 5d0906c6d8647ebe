/** The pages and popups of a world. */
import type { Auth } from '../page/auth/auth.js'
import type { AuthState } from '../page/index.js'
import type { TestOptions } from './api.js'
import { loadPage } from './bundled.js'
import type { Clock } from './clock.js'
import type { Host } from './host.js'
import { createPlatform, ownAddress, type Address, type Platform, type Surroundings } from './platform.js'
import { later } from './ports.js'

/** A page of the world: an instance of the page's code. */
interface Page {
  auth: Auth<any>
  platform: Platform
}

/** The parts of a world that its pages and popups use. */
export interface Stage {
  clock: Clock
  host: Host
  around: Surroundings
  /** The error code with which the provider refuses the next login. */
  denial: { code?: string | undefined }
}

export const openPage = (
  { around, host }: Stage,
  address: Address,
  options: TestOptions,
  close?: () => void,
): Page => {
  const platform = createPlatform(around, address, close)
  const { createAuth } = loadPage(platform.globals)
  const { onReturn } = options
  const auth = createAuth({ shared: () => host.createWorker() as SharedWorker }, onReturn ? { onReturn } : {})
  return { auth, platform }
}

/** Returns the error code that `deny()` has set, and clears it, so that it applies to one login only. */
export const takeDenial = ({ denial }: Stage) => {
  const { code } = denial
  denial.code = undefined
  return code
}

/** Signs the user in at the URL of an authorization request, or refuses. Returns the URL of the redirect back. */
export const authorize = (stage: Stage, url: string): string =>
  stage.host.use((core) => core.authorize(url, takeDenial(stage)))

/** Opens a window for a login. The user signs in there as soon as the window is sent to the provider. */
export const openPopup = (stage: Stage, options: TestOptions) => {
  const popup = {
    closed: false,
    opener: null,
    close() {
      popup.closed = true
    },
    location: {
      assign: (url: string | URL) =>
        later(() => {
          const address = ownAddress(authorize(stage, `${url}`))
          const page = openPage(stage, address, options, () => {
            popup.close()
            later(() => page.platform.dispatch('pagehide'))
          })
          page.auth.connect().catch(() => {})
        }),
    },
  }
  return popup
}

/** Returns an `Auth` that stays the same when the page is loaded again. */
export const createFacade = (current: () => Auth<any>) => {
  const subscriptions = new Set<{ listener: (state: AuthState<any>) => void; stop: () => void }>()
  const auth: Auth<any> = {
    get state() {
      return current().state
    },
    subscribe(listener) {
      const subscription = { listener, stop: current().subscribe(listener) }
      subscriptions.add(subscription)
      return () => {
        subscription.stop()
        subscriptions.delete(subscription)
      }
    },
    fetch: (input, init) => current().fetch(input, init),
    eventSource: (url, init) => current().eventSource(url, init),
    webSocket: (url, protocols) => current().webSocket(url, protocols),
    media: () => current().media(),
    download: (path, options) => current().download(path, options),
    login: (options) => current().login(options),
    logout: (options) => current().logout(options),
    requireSession: (options) => current().requireSession(options),
    connect: () => current().connect(),
    reconnect: () => current().reconnect(),
    close: () => current().close(),
  }
  /** Moves all subscriptions to the page that has been loaded. */
  const move = () => {
    for (const subscription of subscriptions) {
      subscription.stop()
      subscription.stop = current().subscribe(subscription.listener)
    }
  }
  return { auth, move }
}
