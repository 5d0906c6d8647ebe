import { vault } from '../../pkg/dist/worker.js'

// The bundler replaces `CONFIG`, as in an app that has its URLs built in.
vault(CONFIG)
