import { Component, provideAppInitializer, provideExperimentalZonelessChangeDetection } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'
import { provideRouter } from '@angular/router'
import { start } from './app'

@Component({ selector: 'app-root', template: '' })
class App {}

bootstrapApplication(App, {
  // The initializer runs before the router's first navigation, which would remove the login's response from the URL.
  providers: [
    provideExperimentalZonelessChangeDetection(),
    provideAppInitializer(start),
    provideRouter([{ path: '**', children: [] }]),
  ],
})
