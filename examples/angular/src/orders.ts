import { HttpClient } from '@angular/common/http'
import { Component, inject, signal } from '@angular/core'
import { Router } from '@angular/router'
import { injectAuth } from 'strongroom/angular'

interface Order {
  id: number
  item: string
}

@Component({
  selector: 'app-orders',
  template: `
    <h1>Orders of {{ auth.session()?.claims?.name }}</h1>
    <ul>
      @for (order of orders(); track order.id) {
        <li>{{ order.item }}</li>
      }
    </ul>
    <button (click)="signOut()">Sign out</button>
  `,
})
export class Orders {
  readonly auth = injectAuth()
  readonly orders = signal<Order[]>([])
  private readonly router = inject(Router)

  constructor() {
    inject(HttpClient).get<Order[]>('http://127.0.0.1:4402/v1/orders').subscribe(this.orders.set)
  }

  async signOut() {
    await this.auth.logout()
    await this.router.navigateByUrl('/sign-in')
  }
}
