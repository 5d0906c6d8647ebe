/** The worker of the static demo: the usual worker's file, after a module that replaces `fetch`. */
import './fetch.js'
import '../auth.worker.js'
