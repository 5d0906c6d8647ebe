import tls from 'node:tls'

/** Returns true if a host name is this device. */
export const isLoopback = (host) => /^(localhost|127\.0\.0\.1|\[?::1\]?)$/.test(host ?? '')

/**
 * Makes this process accept any certificate of a server on this device, and only there: a local suite has a self-signed
 * certificate. `fetch` and `node:https` both connect by `tls.connect`.
 */
export function acceptOwnCertificates() {
  const { connect } = tls
  tls.connect = (options, ...rest) =>
    connect(isLoopback(options?.host) ? { ...options, rejectUnauthorized: false } : options, ...rest)
}

/**
 * Arguments of a browser that accepts any certificate. The browser then finds no host but this device. Without a suite
 * on this device it gets no such arguments.
 */
export const browserArguments = (origin) =>
  isLoopback(new URL(origin).hostname)
    ? [
        '--ignore-certificate-errors',
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
      ]
    : []
