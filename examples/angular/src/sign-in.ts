import { Component, input } from '@angular/core'
import { injectAuth } from 'strongroom/angular'

@Component({
  selector: 'app-sign-in',
  template: `<button (click)="auth.login({ returnTo: to() })">Sign in</button>`,
})
export class SignIn {
  readonly auth = injectAuth()
  /** The query parameter `to`. */
  readonly to = input('/')
}
