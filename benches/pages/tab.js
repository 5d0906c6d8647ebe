/** Any tab of the app: its vault is one that another tab has started. */
import { compare } from './compare.js'
import { connectShared, parameters, report } from './connect.js'

report(async () => compare(await connectShared(), parameters))
