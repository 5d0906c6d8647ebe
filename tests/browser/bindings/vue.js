// The app in Vue, with a guarded route.
import { createApp, createSSRApp, defineComponent, h, watch, watchEffect } from 'vue'
import { createRouter, createWebHistory, RouterView, useRoute, useRouter } from 'vue-router'
import { authPlugin, sessionGuard, useAuth, useUserChange } from 'strongroom/vue'

const Root = defineComponent({
  setup() {
    const auth = useAuth()
    const router = useRouter()
    useUserChange(() => userChanges++)
    // The recipe of docs/frameworks.md: the guard of the current page runs again.
    watch(auth.session, (current) => {
      const { path, query, hash } = router.currentRoute.value
      if (!current) void router.replace({ path, query, hash, force: true })
    })
    return () => [
      h('p', [
        h('b', { id: 'status' }, auth.state.value.status),
        h('b', { id: 'user' }, auth.session.value?.claims.sub ?? 'nobody'),
        h('b', { id: 'reason' }, auth.state.value.endReason ?? 'no reason'),
      ]),
      ['login', 'logout', 'reconnect'].map((name) =>
        h('button', { id: name, onClick: () => auth[name]() }, name),
      ),
      h(RouterView),
    ]
  },
})

const SignIn = defineComponent({
  setup() {
    const { session } = useAuth()
    const route = useRoute()
    const router = useRouter()
    // The recipe of docs/frameworks.md: leaves this page when the user has signed in.
    watchEffect(() => {
      if (session.value && route.path === '/sign-in') void router.replace(String(route.query.to))
    })
    return () => h('i', { id: 'fallback' }, 'Sign in')
  },
})

const view = (id, text) => ({ render: () => h('i', { id }, text) })

/** Returns the app. If `isGuarded` is true, its route `/orders` is guarded. */
export const makeApp = (auth, create, history, isGuarded) => {
  const router = createRouter({
    history,
    routes: [
      { path: '/orders', component: view('guarded', 'Orders'), meta: { isGuarded } },
      { path: '/sign-in', component: SignIn },
      { path: '/:other(.*)', component: view('other', '') },
    ],
  })
  const guard = sessionGuard(auth, { fallback: (to) => ({ path: '/sign-in', query: { to } }) })
  router.beforeEach((to) => (to.meta.isGuarded ? guard(to) : true))
  const app = create(Root)
  app.use(authPlugin, auth)
  app.use(router)
  return { app, router }
}

let current
/** Navigates within the app to the path to which a login returns. */
export const onReturn = (path) => current.replace(path)

export const mount = (auth, element, isGuarded) => {
  const { app, router } = makeApp(auth, createApp, createWebHistory(), isGuarded)
  current = router
  app.mount(element)
  return () => app.unmount()
}

export const hydrate = async (auth, element) => {
  const { app, router } = makeApp(auth, createSSRApp, createWebHistory(), false)
  current = router
  await router.isReady()
  app.mount(element)
}
