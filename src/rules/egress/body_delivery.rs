//! The order in which the head and the body of a searched response cross to the page.
//!
//! The length of a compressed body depends on how often the body repeats itself. If a body contains both the token and
//! a string that the page has chosen, its compressed length therefore tells the page how much of the token the string
//! has guessed (BREACH). A page must not learn this length, that is `Content-Length`, before the whole body has been
//! searched.
//!
//! - A body that ends within [`TIME_LIMIT_MS`] after the head arrived, and is not longer than [`MAX_WHOLE`], is
//!   searched as a whole. Head and body then cross in one message, with `Content-Length`.
//! - Otherwise the head crosses alone, without `Content-Length`, and the body follows.
//! - The head of an event stream, and a head without a body, cross at once, without `Content-Length`. A response to
//!   HEAD has no body that could be searched, but its `Content-Length` describes one.
//!
//! The choice depends on time and on decoded bytes, and never on `Content-Length`.
//!
//! A token that is found while the head waits changes nothing of this: the head crosses when its time is over, without
//! `Content-Length`, and then the body fails. If the call failed at once, the page would learn if the body has ended
//! within this time, which depends on its compressed length.

/// The time for which the head of a response waits for the end of the body, in milliseconds. docs/decisions.md has the
/// reasons for this value.
pub const TIME_LIMIT_MS: i32 = 30;

/// The time without a byte of the body after which held bytes cross, in milliseconds: see
/// [`Guard::free_after_pause`](super::token_reflection::Guard::free_after_pause).
pub const PAUSE_MS: i32 = 100;

/// The length of the longest body that crosses together with its head, in decoded bytes.
pub const MAX_WHOLE: usize = 64 * 1024;

/// Returns true if the head of a response with this `Content-Type` may wait for the end of the body. Returns false for
/// an event stream (HTML, server-sent events), whose body does not end.
#[must_use]
pub fn may_wait(content_type: Option<&str>) -> bool {
    !content_type.is_some_and(|it| it.starts_with("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_of_an_event_stream_does_not_wait() {
        for (content_type, may) in [
            (None, true),
            (Some(""), true),
            (Some("application/json"), true),
            (Some("text/event-stream"), false),
            (Some("text/event-stream; charset=utf-8"), false),
        ] {
            assert_eq!(may_wait(content_type), may, "{content_type:?}");
        }
    }
}
