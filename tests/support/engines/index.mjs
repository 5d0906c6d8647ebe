import { startChromium } from './chromium.mjs'
import { startFirefox } from './firefox.mjs'
import { startWebKit } from './webkit.mjs'

/** Functions that start each engine, by the name in `cargo xtask test --engines`. */
export const ENGINES = {
  chromium: { title: 'Chromium', start: startChromium },
  firefox: { title: 'Firefox', start: startFirefox },
  webkit: { title: 'WebKit', start: startWebKit },
}
