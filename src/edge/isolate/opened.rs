//! The sessions' cookies that this isolate has opened a moment ago. A page sends many requests with one cookie, and opening
//! it costs more than anything else in most requests. Only the decryption is saved: limits, the record and the binding of a
//! session are checked at each request.

use rules::prelude::*;

use rules::Secret;
use rules::base::clock::{Instant, Millis};

/// The time for which an opened cookie is kept.
const KEPT: Millis = Millis::from_secs(5);

/// Largest number of opened cookies.
const MOST: usize = 256;

/// Opened cookies.
#[derive(Default)]
pub(crate) struct Opened(Vec<OpenedCookie>);

struct OpenedCookie {
    purpose: String,
    sealed: String,
    text: Secret,
    at: Instant,
}

impl Opened {
    /// Returns the content of a cookie that was opened for this purpose.
    pub(crate) fn get(&mut self, purpose: &str, sealed: &str, now: &Instant) -> Option<Secret> {
        self.0.retain(|known| known.at.elapsed(now) < KEPT);
        // Sealed values differ in their first bytes, so this search is short.
        let mut found = self.0.iter().filter(|known| known.sealed == sealed);
        let known = found.find(|known| known.purpose == purpose)?;
        Some(known.text.clone())
    }

    /// Keeps the content of a cookie.
    pub(crate) fn keep(&mut self, purpose: String, sealed: &str, text: &Secret, now: &Instant) {
        if self.0.len() == MOST {
            self.0.clear();
        }
        self.0.push(OpenedCookie {
            purpose,
            sealed: sealed.to_owned(),
            text: text.clone(),
            at: *now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_kept_for_its_purpose_and_for_a_while() {
        let (mut opened, now) = (Opened::default(), Instant::default());
        opened.keep("session".to_owned(), "sealed", &Secret::from("text"), &now);
        let mut got = |purpose, sealed, now: &Instant| opened.get(purpose, sealed, now).is_some();
        assert!(got("session", "sealed", &now));
        assert!(!got("login", "sealed", &now));
        assert!(!got("session", "other", &now));
        opened.keep("session".to_owned(), "other", &Secret::from("text"), &now);
        let mut got = |sealed, now: &Instant| opened.get("session", sealed, now).is_some();
        assert!(got("sealed", &now) && got("other", &now));
        let later = Instant {
            monotonic: KEPT,
            ..now
        };
        assert!(!got("sealed", &later));
    }

    #[test]
    fn few_values_are_kept() {
        let (mut opened, now) = (Opened::default(), Instant::default());
        for i in 0..3 * MOST {
            opened.keep(
                "session".to_owned(),
                &format!("{i}"),
                &Secret::from("text"),
                &now,
            );
            assert!(opened.0.len() <= MOST);
        }
    }
}
