/** The script of the static comparison: the usual comparison, with stand-ins for its servers and its storage. */
import './fetch.js'
import './storage.js'
import '../local-storage.js'
