/** A further tab of the app, whose vault was started by another tab. */
import { compare } from './compare.js'
import { connectShared, parameters, report } from './connect.js'

report(async () => compare(await connectShared(), parameters))
