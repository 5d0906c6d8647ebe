import { provideHttpClient, withInterceptors } from '@angular/common/http'
import { Component } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'
import { provideRouter, RouterOutlet } from '@angular/router'
import { authInterceptor, provideAuth, sessionGuard } from 'strongroom/angular'
import { auth } from './auth'
import { Orders } from './orders'
import { SignIn } from './sign-in'

@Component({ selector: 'app-root', imports: [RouterOutlet], template: '<router-outlet />' })
class App {}

bootstrapApplication(App, {
  providers: [
    provideAuth(auth),
    provideHttpClient(
      withInterceptors([authInterceptor(({ origin }) => origin === 'http://127.0.0.1:4402')]),
    ),
    provideRouter([
      { path: 'sign-in', component: SignIn },
      { path: '', component: Orders, canActivate: [sessionGuard({ fallback: '/sign-in' })] },
    ]),
  ],
}).catch((error) => console.error(error))
