/** The parts of Chrome's extension API that this folder uses. They are declared here, so that apps need no types for it. */

/** The sender of a message or of a port, as the browser reports it (`chrome.runtime.MessageSender`). */
export interface Sender {
  /** The id of the extension, also for its content scripts. */
  id?: string
  /** The URL of the page, frame or script that sent the message. */
  url?: string
  /** The origin of the page or frame that sent the message. A service worker has none. */
  origin?: string
  /** The page or frame that sent the message. A service worker has none. */
  documentId?: string
  /** The tab of the page that sent the message. */
  tab?: object
  /** 0 for the page of a tab, and another number for a frame in this page. */
  frameId?: number
}

interface ExtensionEvent<Listener> {
  addListener(listener: Listener): void
}

/** A connection between two parts of an extension (`chrome.runtime.Port`). Messages are JSON. */
export interface Port {
  name: string
  sender?: Sender
  onMessage: ExtensionEvent<(message: unknown) => void>
  onDisconnect: ExtensionEvent<() => void>
  postMessage(message: unknown): void
  disconnect(): void
}

interface Chrome {
  runtime: {
    id?: string
    lastError?: { message?: string }
    onConnect: ExtensionEvent<(port: Port) => void>
    connect(options: { name: string }): Port
    getContexts(filter: { contextTypes: string[] }): Promise<{ documentUrl?: string }[]>
    getURL(path: string): string
  }
  offscreen?: {
    createDocument(options: { url: string; reasons: string[]; justification: string }): Promise<void>
  }
  identity?: {
    launchWebAuthFlow(options: { url: string; interactive: boolean }): Promise<string | undefined>
  }
}

/** Returns Chrome's extension API, or `undefined` outside of an extension. */
export const extensionApi = (): Chrome | undefined => {
  const { chrome } = globalThis as { chrome?: Partial<Chrome> }
  return chrome?.runtime?.id ? (chrome as Chrome) : undefined
}
