import { startChromium } from './chromium.mjs'
import { startFirefox } from './firefox.mjs'
import { startWebKit } from './webkit.mjs'

/** How each engine is started, by the name that `cargo xtask test --engines` has for it. */
export const ENGINES = {
  chromium: { title: 'Chromium', start: startChromium },
  firefox: { title: 'Firefox', start: startFirefox },
  webkit: { title: 'WebKit', start: startWebKit },
}
