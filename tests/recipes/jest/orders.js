import { auth } from './auth'

export const loadOrders = async () => (await auth.fetch('https://api.example.com/v1/orders')).json()
