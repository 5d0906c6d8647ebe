import { vault } from '../../pkg/dist/worker.js'

// Replaced when the page is bundled, like an app's URLs.
vault(CONFIG)
