//! The oracle's own measure of time. The oracle must not use the core's `Instant::elapsed`, because a fault in that
//! function would go unnoticed.

use rules::base::clock::{Instant, Millis};

/// Measures elapsed time by the specification's rules.
pub(super) trait Since {
    /// Returns the time that has passed since this moment: the larger of the two clocks' differences.
    fn passed(&self, now: &Instant) -> Millis;
}

impl Since for Instant {
    fn passed(&self, now: &Instant) -> Millis {
        let readings = [(self.monotonic.0, now.monotonic.0), (self.wall, now.wall)];
        // For a clock that was set back, no time has passed.
        let spans = readings.map(|(start, end)| end.saturating_sub(start));
        Millis(if spans[0] > spans[1] {
            spans[0]
        } else {
            spans[1]
        })
    }
}
