import { HttpClient } from '@angular/common/http'
import { Component, inject, signal } from '@angular/core'
import { injectAuth } from 'strongroom/angular'
import { userMessage } from 'strongroom/messages'

interface Order {
  id: number
  item: string
}

@Component({
  selector: 'app-orders',
  template: `
    <h1>Orders of {{ auth.session()?.claims?.name }}</h1>
    <p role="alert">{{ trouble() }}</p>
    <ul>
      @for (order of orders(); track order.id) {
        <li>{{ order.item }}</li>
      }
    </ul>
    <button (click)="auth.logout()">Sign out</button>
  `,
})
export class Orders {
  readonly auth = injectAuth()
  readonly orders = signal<Order[]>([])
  readonly trouble = signal('')

  constructor() {
    inject(HttpClient)
      .get<Order[]>('http://127.0.0.1:4402/v1/orders')
      .subscribe({ next: this.orders.set, error: ({ error }) => this.trouble.set(userMessage(error)) })
  }
}
