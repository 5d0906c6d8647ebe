import { QueryClient, queryOptions } from '@tanstack/react-query'
import { StrongroomError } from 'strongroom'
import { auth } from './auth'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // An error of the vault, such as login_required, is final.
      retry: (count, error) => !(error instanceof StrongroomError) && count < 3,
      staleTime: 10_000, // a loader and its component share one call
    },
  },
})

export const ordersQuery = queryOptions({
  queryKey: ['orders'],
  queryFn: async ({ signal }): Promise<{ id: number; item: string }[]> => {
    const response = await auth.fetch('http://127.0.0.1:4402/v1/orders', { signal })
    if (!response.ok) throw new Error(`The API responded with ${response.status}.`)
    return response.json()
  },
})
