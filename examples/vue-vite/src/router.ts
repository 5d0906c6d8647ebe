import { sessionGuard } from 'strongroom/vue'
import { createRouter, createWebHistory } from 'vue-router'
import { auth } from './auth'
import Orders from './Orders.vue'
import SignIn from './SignIn.vue'

const beforeEnter = sessionGuard(auth, { fallback: '/sign-in' })

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', component: Orders, beforeEnter },
    { path: '/callback', component: SignIn },
    { path: '/sign-in', component: SignIn },
  ],
})
