import { Component, effect, inject, input } from '@angular/core'
import { Router } from '@angular/router'
import { injectAuth } from 'strongroom/angular'

@Component({
  selector: 'app-sign-in',
  template: `<button (click)="auth.login({ returnTo: to() })">Sign in</button>`,
})
export class SignIn {
  readonly auth = injectAuth()
  /** The query parameter `to`. */
  readonly to = input('/orders')

  constructor() {
    const router = inject(Router)
    // Leaves this page when the user has signed in, also in another tab.
    effect(() => {
      if (this.auth.session()) void router.navigateByUrl(this.to(), { replaceUrl: true })
    })
  }
}
