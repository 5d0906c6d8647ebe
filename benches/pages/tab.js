/** A further tab of the app. Another tab has started the vault. */
import { compare } from './compare.js'
import { connectShared, parameters, report } from './connect.js'

report(async () => compare(await connectShared(), parameters))
