//! The oracle's own measure of time. It must not use the core's `Instant::elapsed`: a fault there would go unnoticed.

use strongroom::base::clock::{Instant, Millis};

/// Measures a span of time as the rules say.
pub(super) trait Since {
    /// The time between this moment and a later one: the larger of the two clocks' readings.
    fn passed(&self, now: &Instant) -> Millis;
}

impl Since for Instant {
    fn passed(&self, now: &Instant) -> Millis {
        let readings = [(self.monotonic.0, now.monotonic.0), (self.wall, now.wall)];
        // A clock that was set back has measured nothing.
        let spans = readings.map(|(start, end)| end.saturating_sub(start));
        Millis(if spans[0] > spans[1] {
            spans[0]
        } else {
            spans[1]
        })
    }
}
