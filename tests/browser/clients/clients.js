// HTTP clients, configured as docs/clients.md says. Each client has the functions `get`, `post` and `explain`.
import axios from 'axios'
import ky from 'ky'
import { createFetch } from 'ofetch'
import createClient from 'openapi-fetch'
import { StrongroomError } from 'strongroom'

const retry = { shouldRetry: ({ error }) => (error instanceof StrongroomError ? false : undefined) }

const kyWith = (options, baseUrl) => {
  const api = ky.create(options)
  return {
    get: (path, { signal } = {}) => api.get(baseUrl + path, { signal }).json(),
    post: (path, json) => api.post(baseUrl + path, { json }).json(),
    explain: (error) => ({ status: error.response?.status, vault: error }),
  }
}

/**
 * Functions that create a client from the vault's `fetch` and the API's URL. The client's `explain` returns the status
 * or the vault's error of a failed call.
 */
export const CLIENTS = {
  axios(fetch, baseURL) {
    const api = axios.create({ baseURL, adapter: 'fetch', env: { fetch } })
    return {
      get: async (path, { signal } = {}) => (await api.get(path, { signal })).data,
      post: async (path, body) => (await api.post(path, body)).data,
      explain: (error) => ({ status: error.response?.status, vault: error.cause, code: error.code }),
    }
  },

  ky: (fetch, baseUrl) => kyWith({ fetch, retry }, baseUrl),

  /** A control: this client also repeats calls that cannot succeed before a login. */
  'ky without the option': (fetch, baseUrl) => kyWith({ fetch }, baseUrl),

  ofetch(fetch, baseURL) {
    const api = createFetch({ fetch, defaults: { baseURL, retry: false } })
    return {
      get: (path, { signal } = {}) => api(path, { signal }),
      post: (path, body) => api(path, { method: 'POST', body }),
      explain: (error) => ({ status: error.response?.status, vault: error.cause }),
    }
  },

  'openapi-fetch'(fetch, baseUrl) {
    const api = createClient({ baseUrl, fetch })
    const unwrap = ({ data, response }) => {
      if (!response.ok) throw Object.assign(new Error('refused'), { response })
      return data
    }
    return {
      get: async (path, { signal } = {}) => unwrap(await api.GET(`/${path}`, { signal })),
      post: async (path, body) => unwrap(await api.POST(`/${path}`, { body })),
      explain: (error) => ({ status: error.response?.status, vault: error }),
    }
  },
}

/** Creates a client. Its member `calls` counts the calls of the vault's `fetch`. */
export function createCounted(name, auth, baseUrl) {
  const count = (...args) => {
    counted.calls++
    return auth.fetch(...args)
  }
  const counted = { calls: 0, ...CLIENTS[name](count, baseUrl) }
  return counted
}

/** Resolves with the parts of an outcome that can be passed to a test. */
export const outcome = (client, promise) =>
  promise.then(
    (value) => ({ value }),
    (error) => {
      const { status, vault, code } = client.explain(error)
      const isRefusal = vault instanceof StrongroomError
      return { status, code: code ?? vault?.code, refusal: isRefusal ? vault.code : null, name: error.name }
    },
  )
