import { useSuspenseQuery } from '@tanstack/react-query'
import { ordersQuery } from './queries'

export const Orders = () => {
  const { data: orders } = useSuspenseQuery(ordersQuery)
  return (
    <ul>
      {orders.map(({ id, item }) => (
        <li key={id}>{item}</li>
      ))}
    </ul>
  )
}
