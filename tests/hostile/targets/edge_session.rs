//! Checks sealed sessions with forged content. A session must be written as it was read, and its content must not be
//! shown.

use edge::session::Session;
use rules::base::clock::{Instant, Millis};
use rules::config::Limits;

const LIMITS: Limits = Limits {
    idle: Millis(1_800_000),
    absolute: Millis(43_200_000),
};

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    if let Some((sid, began)) = Session::reference_from_text(text) {
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[..2], ["1", sid]);
        assert_eq!((lines.len(), lines[2].parse()), (3, Ok(began)));
    }
    let Some(session) = Session::from_text(text) else {
        return;
    };
    let written = session.to_text();
    let twin = Session::from_text(written.expose()).unwrap();
    assert_eq!(twin.to_text().expose(), written.expose());
    let shown = format!("{session:?}");
    // The debug output is exactly this string, so it contains no secret.
    let generation = session.generation;
    assert_eq!(shown, format!("Session {{ generation: {generation}, .. }}"));
    // Whatever numbers the session contains, a limit that was reached stays reached at later times.
    let mut was_over = false;
    for wall in [0, 1, 1_800_000_000_000, u64::MAX - 1, u64::MAX] {
        let now = Instant {
            monotonic: Millis(0),
            wall,
        };
        let is_over = session.limit_reached(&LIMITS, &now).is_some();
        assert!(is_over || !was_over);
        was_over = is_over;
        // A token that is not stale is valid, unless its lifetime is zero.
        assert!(session.is_stale(&now) || session.is_valid(&now));
        assert!(session.left(&LIMITS, &now) <= LIMITS.absolute);
        let _ = session.is_activity_due(&LIMITS, &now);
    }
    let _ = session.user();
}
