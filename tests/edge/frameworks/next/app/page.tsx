import { headers } from 'next/headers'
import { connection } from 'next/server'
import { Suspense } from 'react'
import { sessionFrom } from 'strongroom/edge/next'
import { handler } from '../handler'
import { Account, Auth } from './account'

const Greeting = async () => {
  await connection()
  const session = await sessionFrom(handler, await headers())
  const user = session?.claims
  return (
    <>
      <p>{`Hello, ${user?.name ?? 'stranger'}`}</p>
      <Account user={user?.sub} />
    </>
  )
}

export default function Page() {
  return (
    <Auth>
      <Suspense fallback={<p>One moment …</p>}>
        <Greeting />
      </Suspense>
    </Auth>
  )
}
