import { Component, effect, inject } from '@angular/core'
import { Router, RouterOutlet } from '@angular/router'
import { injectAuth } from 'strongroom/angular'

@Component({ selector: 'app-root', imports: [RouterOutlet], template: '<router-outlet />' })
export class App {
  constructor() {
    const { session } = injectAuth()
    const router = inject(Router)
    let isSignedIn = false
    // When the session ends, in any tab, the guard of the current page runs again.
    effect(() => {
      if (isSignedIn && !session()) void router.navigateByUrl(router.url, { onSameUrlNavigation: 'reload' })
      isSignedIn = session() !== null
    })
  }
}
