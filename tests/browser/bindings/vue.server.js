import { createSSRApp } from 'vue'
import { createMemoryHistory } from 'vue-router'
import { renderToString } from 'vue/server-renderer'
import { makeApp } from './vue.js'

export const render = async (auth) => {
  const { app, router } = makeApp(auth, createSSRApp, createMemoryHistory(), true)
  await router.push('/orders')
  return renderToString(app)
}
