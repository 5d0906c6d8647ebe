// The app in Angular, with a guarded route. The browser compiles it.
import '@angular/compiler'
import { HttpClient, provideHttpClient, withInterceptors } from '@angular/common/http'
import { Component, effect, inject, provideZonelessChangeDetection } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'
import { provideRouter, Router, RouterOutlet } from '@angular/router'
import { authInterceptor, injectAuth, onUserChange, provideAuth, sessionGuard } from 'strongroom/angular'

const component = (options, type) => Component(options)(type) ?? type

const Root = component(
  {
    selector: 'app-root',
    imports: [RouterOutlet],
    template: `
      <p>
        <b id="status">{{ auth.state().status }}</b>
        <b id="user">{{ auth.session()?.claims?.sub ?? 'nobody' }}</b>
        <b id="reason">{{ auth.state().endReason ?? 'no reason' }}</b>
      </p>
      @for (name of names; track name) {
        <button [id]="name" (click)="auth[name]()">{{ name }}</button>
      }
      <router-outlet />
    `,
  },
  class {
    auth = injectAuth()
    names = ['login', 'logout', 'reconnect']
    constructor() {
      globalThis.http = inject(HttpClient)
      onUserChange(() => userChanges++)
      const router = inject(Router)
      let isSignedIn = false
      // The recipe of docs/frameworks.md: the guard of the current page runs again.
      effect(() => {
        const session = this.auth.session()
        if (isSignedIn && !session) void router.navigateByUrl(router.url, { onSameUrlNavigation: 'reload' })
        isSignedIn = session !== null
      })
    }
  },
)

const view = (id, text) =>
  component({ selector: `app-${id}`, template: `<i id="${id}">${text}</i>` }, class {})

const SignIn = component(
  { selector: 'app-sign-in', template: '<i id="fallback">Sign in</i>' },
  class {
    constructor() {
      const { session } = injectAuth()
      const router = inject(Router)
      // The recipe of docs/frameworks.md: leaves this page when the user has signed in.
      effect(() => {
        if (session()) void router.navigateByUrl('/orders', { replaceUrl: true })
      })
    }
  },
)

export const mount = async (auth, element, isGuarded) => {
  element.append(document.createElement('app-root'))
  const app = await bootstrapApplication(Root, {
    providers: [
      provideZonelessChangeDetection(),
      provideAuth(auth),
      provideHttpClient(withInterceptors([authInterceptor(({ port }) => port === globalThis.apiPort)])),
      provideRouter([
        {
          path: 'orders',
          component: view('guarded', 'Orders'),
          canActivate: isGuarded ? [sessionGuard({ fallback: '/sign-in' })] : [],
          runGuardsAndResolvers: 'always',
        },
        { path: 'sign-in', component: SignIn },
        { path: '**', component: view('other', '') },
      ]),
    ],
  })
  return () => app.destroy()
}
