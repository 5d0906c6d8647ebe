//! The sessions' cookies that this isolate has opened a moment ago. A page sends many requests with one cookie, and opening
//! it costs more than anything else in most requests. Only the decryption is saved: limits, the record and the binding of a
//! session are checked at each request.

use rules::prelude::*;

use rules::Secret;
use rules::base::clock::{Instant, Millis};

/// The time for which an opened cookie is kept.
const KEPT: Millis = Millis::from_secs(5);

/// Largest number of opened cookies. A busy process has about as many sessions in [`KEPT`].
const MOST: usize = 1024;

/// The time after which expired cookies are removed, so that not every request looks for them.
const SWEEP: Millis = Millis::from_secs(1);

/// Opened cookies, sorted by their sealed values.
#[derive(Default)]
pub(crate) struct Opened {
    cookies: Vec<OpenedCookie>,
    /// The time at which the expired cookies were removed last.
    swept: Instant,
}

struct OpenedCookie {
    purpose: String,
    sealed: String,
    text: Secret,
    at: Instant,
}

impl Opened {
    fn place(&self, sealed: &str) -> Result<usize, usize> {
        self.cookies
            .binary_search_by(|known| known.sealed.as_str().cmp(sealed))
    }

    /// Returns the content of a cookie that was opened for this purpose.
    pub(crate) fn get(&mut self, purpose: &str, sealed: &str, now: &Instant) -> Option<Secret> {
        if self.swept.elapsed(now) >= SWEEP {
            self.swept = *now;
            self.cookies.retain(|known| known.at.elapsed(now) < KEPT);
        }
        let known = &self.cookies[self.place(sealed).ok()?];
        let is_known = known.purpose == purpose && known.at.elapsed(now) < KEPT;
        is_known.then(|| known.text.clone())
    }

    /// Keeps the content of a cookie.
    pub(crate) fn keep(&mut self, purpose: String, sealed: &str, text: &Secret, now: &Instant) {
        if self.cookies.len() >= MOST {
            self.cookies.clear();
        }
        let cookie = OpenedCookie {
            purpose,
            sealed: sealed.to_owned(),
            text: text.clone(),
            at: *now,
        };
        match self.place(sealed) {
            Ok(place) => self.cookies[place] = cookie,
            Err(place) => self.cookies.insert(place, cookie),
        }
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
            assert!(opened.cookies.len() <= MOST);
        }
    }
}
