/**
 * Files that the page imports only when it needs them: error messages; the reason why a worker did not start; popups;
 * resuming a session; reconnecting to a vault; event sources and sockets; the clients of a vault on its own origin and of
 * a token handler; forms that the engine cannot read.
 */
export const SELDOM = [
  'words',
  'worker-failure',
  'relay',
  'resume',
  'reconnect',
  'live',
  'connect-frame',
  'edge-room',
  'form',
]
