import { vault } from '../../pkg/dist/worker.js'

// Put in its place when the page is bundled, as an app's addresses are.
vault(CONFIG)
