import { Component } from '@angular/core'
import { injectAuth } from 'strongroom/angular'

@Component({
  selector: 'app-sign-in',
  template: `<button (click)="auth.login({ returnTo: '/' })">Sign in</button>`,
})
export class SignIn {
  readonly auth = injectAuth()
}
