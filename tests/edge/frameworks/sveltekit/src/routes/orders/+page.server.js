import { error, fail, redirect } from '@sveltejs/kit'

export const load = async ({ locals }) => {
  const response = await locals.auth.call('/api/orders')
  if (response.status === 401 && response.headers.has('x-strongroom'))
    redirect(303, '/auth/login?returnTo=/orders&automatic')
  if (!response.ok) error(503, 'The orders are not available')
  return { orders: await response.json() }
}

export const actions = {
  default: async ({ locals, request }) => {
    const item = (await request.formData()).get('item')
    const response = await locals.auth.call('/api/orders', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ item, quantity: 1 }),
    })
    if (!response.ok) return fail(response.status, { trouble: 'The order was refused' })
    redirect(303, '/orders')
  },
}
