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
        { path: '', pathMatch: 'full', redirectTo: 'orders' },
        { path: 'orders', component: Orders, canActivate: [guard], runGuardsAndResolvers: 'always' },
        { path: 'sign-in', component: SignIn },
      ],
      withComponentInputBinding(),
    ),
  ],
}).catch((error) => console.error(error))
