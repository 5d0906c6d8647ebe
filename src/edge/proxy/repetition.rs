//! The requests that are sent again, and the refreshes, after an upstream has refused the access token.

use crate::config::Route;
use crate::io::Head;
use crate::request::RequestContext;
use crate::session::Session;
use crate::task::Task;
use rules::base::clock::Millis;

/// A body of at most this many bytes is copied, so that it can be sent again.
const LONGEST_COPY: u64 = 64 * 1024;

/// The longest sum of all copies in an isolate, in bytes. Further bodies are streamed, and not sent again.
const ALL_COPIES: u64 = 16 * 1024 * 1024;

/// An access token younger than this is not renewed after a 401: the API would refuse a new token, too.
const MIN_TOKEN_AGE: Millis = Millis::from_secs(30);

/// Largest number of times that this age is doubled: 64 minutes.
const MOST_DOUBLINGS: u32 = 7;

/// The copy of a request's body, which the host holds until the guard is dropped.
pub(super) struct BodyCopy {
    task: Task,
    bytes: u64,
    /// True if the host copies the body.
    pub(super) is_made: bool,
    /// True if the body can be sent more than once. A request without a body can, too.
    is_repeatable: bool,
}

impl BodyCopy {
    /// Decides if the host copies the body of this request.
    pub(super) fn begin(context: &RequestContext) -> Self {
        let request = &context.request;
        let copies = &context.task.isolate().copied_bytes;
        let length = request
            .content_length
            .filter(|length| has_room(copies.get(), *length));
        let copied = length.filter(|_| request.has_body);
        let bytes = copied.unwrap_or_default();
        copies.set(copies.get() + bytes);
        Self {
            task: context.task.clone(),
            bytes,
            is_made: copied.is_some(),
            is_repeatable: !request.has_body || length.is_some(),
        }
    }

    /// Returns true if the request with this response can be sent again.
    pub(super) const fn may_repeat(&self, head: &Head) -> bool {
        self.is_repeatable || head.had_no_body
    }
}

/// Returns true if one more body of this length is copied, besides copies of so many bytes.
const fn has_room(copied: u64, length: u64) -> bool {
    length <= LONGEST_COPY && copied + length <= ALL_COPIES
}

impl Drop for BodyCopy {
    fn drop(&mut self) {
        let copies = &self.task.isolate().copied_bytes;
        copies.set(copies.get().saturating_sub(self.bytes));
    }
}

/// Returns true if the session may be refreshed because this route refuses its access token. An upstream that refuses new
/// tokens would otherwise cause a refresh for each request, so the token must be older each time.
pub(super) fn may_renew(context: &RequestContext, route: &Route, session: &Session) -> bool {
    let cache = context.task.isolate().session_cache.borrow();
    let cached = cache.get(&session.sid);
    let times = cached.map_or(0, |cached| cached.refused_tokens(&route.prefix));
    let age = Millis(MIN_TOKEN_AGE.0 << times.min(MOST_DOUBLINGS));
    drop(cache);
    session.refresh_token.is_some() && age_of_token(context, session) >= age
}

/// Returns true if the session's access token is new.
pub(super) fn is_new_token(context: &RequestContext, session: &Session) -> bool {
    age_of_token(context, session) < MIN_TOKEN_AGE
}

/// Returns the time for which the session's access token has certainly existed.
fn age_of_token(context: &RequestContext, session: &Session) -> Millis {
    let task = &context.task;
    let own = task.own_time();
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &task.now());
    let seen = cached
        .token_seen_since(session.generation, own)
        .elapsed(&own);
    let told = Millis(task.earliest().wall.saturating_sub(session.requested));
    seen.max(told)
}

/// Counts the session's access token among those that the route has refused, until the route accepts another one. A token that
/// replaces a refused one counts from the beginning: the route sees it only with the next request, if this one is not
/// repeated.
pub(super) fn note_refusal(context: &RequestContext, route: &Route, session: &Session) {
    let task = &context.task;
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &task.now());
    cached.count_refused_token(&route.prefix, session.generation);
}

/// Notes that the route has refused the session's access token, if [`note_refusal`] has counted it.
pub(super) fn confirm_refusal(context: &RequestContext, route: &Route, session: &Session) {
    let mut cache = context.task.isolate().session_cache.borrow_mut();
    if let Some(cached) = cache.get_mut(&session.sid) {
        cached.confirm_refused_token(&route.prefix, session.generation);
    }
}

/// Returns true if a response with this status shows that the upstream has accepted the access token. An upstream that is
/// down or busy has not looked at it.
pub(super) const fn accepts_token(status: u16) -> bool {
    status < 500 && !matches!(status, 401 | 429)
}

/// Notes that the route has accepted the session's access token.
pub(super) fn note_success(context: &RequestContext, route: &Route, session: &Session) {
    let mut cache = context.task.isolate().session_cache.borrow_mut();
    if let Some(cached) = cache.get_mut(&session.sid) {
        cached.forget_refused_tokens(&route.prefix, session.generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_bodies_are_copied_and_not_too_many() {
        assert!(has_room(0, LONGEST_COPY));
        assert!(!has_room(0, LONGEST_COPY + 1));
        assert!(has_room(ALL_COPIES - 10, 10));
        assert!(!has_room(ALL_COPIES - 10, 11));
    }
}
