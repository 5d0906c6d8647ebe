import { authPlugin } from 'strongroom/vue'
import { createApp } from 'vue'
import App from './App.vue'
import { auth } from './auth'
import { router } from './router'

createApp(App).use(authPlugin, auth).use(router).mount('#app')
