const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** Returns the page with a user's orders. */
export const page = (orders) => `<!doctype html>
<html lang="en">
  <title>Orders</title>
  <ul>${orders.map(({ item }) => `<li>${escape(item)}</li>`).join('')}</ul>
  <form method="post" action="/orders"><input name="item" aria-label="Item"><button>Order</button></form>
  <form method="post" action="/auth/logout"><button>Sign out</button></form>
</html>`
