import { useEffect, useState } from 'react'
import { userMessage } from 'strongroom/messages'
import { useSession } from 'strongroom/react'
import { auth } from './auth'

export const Orders = () => {
  const session = useSession()
  const [orders, setOrders] = useState<{ id: number; item: string }[]>([])
  const [trouble, setTrouble] = useState('')
  useEffect(() => {
    auth
      .fetch('http://127.0.0.1:4402/v1/orders')
      .then((response) => response.json())
      .then(setOrders, (error) => setTrouble(userMessage(error)))
  }, [])
  return (
    <>
      <h1>Orders of {session?.claims.name}</h1>
      <p role="alert">{trouble}</p>
      <ul>
        {orders.map(({ id, item }) => (
          <li key={id}>{item}</li>
        ))}
      </ul>
      <button onClick={() => auth.logout()}>Sign out</button>
    </>
  )
}
