import { provideHttpClient, withInterceptors } from '@angular/common/http'
import { bootstrapApplication } from '@angular/platform-browser'
import { provideRouter, withComponentInputBinding } from '@angular/router'
import { authInterceptor, provideAuth, sessionGuard } from 'strongroom/angular'
import { App } from './app'
import { auth } from './auth'
import { Orders } from './orders'
import { SignIn } from './sign-in'

const guard = sessionGuard({ fallback: (to) => `/sign-in?to=${encodeURIComponent(to)}` })

bootstrapApplication(App, {
  providers: [
    provideAuth(auth),
    provideHttpClient(
      withInterceptors([authInterceptor(({ origin }) => origin === 'http://127.0.0.1:4402')]),
    ),
    provideRouter(
      [
        { path: 'sign-in', component: SignIn },
        { path: '', component: Orders, canActivate: [guard], runGuardsAndResolvers: 'always' },
        { path: 'orders/all', component: Orders, canActivate: [guard], runGuardsAndResolvers: 'always' },
      ],
      withComponentInputBinding(),
    ),
  ],
}).catch((error) => console.error(error))
