import { sessionGuard } from 'strongroom/vue'
import { createRouter, createWebHistory } from 'vue-router'
import { auth } from './auth'
import Orders from './Orders.vue'
import SignIn from './SignIn.vue'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', component: Orders, meta: { guarded: true } },
    { path: '/callback', component: SignIn },
    { path: '/sign-in', component: SignIn },
  ],
})

const guard = sessionGuard(auth, { fallback: (to) => ({ path: '/sign-in', query: { to } }) })
router.beforeEach((to) => (to.meta.guarded ? guard(to) : true))
