import { index, route, type RouteConfig } from '@react-router/dev/routes'

export default [
  index('routes/home.tsx'),
  route('orders', 'routes/orders.tsx'),
  route('devices', 'routes/devices.tsx'),
  // The handler's endpoints, and its route.
  route('auth/*', 'routes/handler.ts', { id: 'auth' }),
  route('api/*', 'routes/handler.ts', { id: 'api' }),
] satisfies RouteConfig
