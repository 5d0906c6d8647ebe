/** Returns the response of an API. Its errors are 502, and those of the handler keep their status, such as 401. */
export const checked = (response: Response) => {
  if (response.ok) return response
  throw createError({ status: response.headers.has('x-strongroom') ? response.status : 502 })
}
