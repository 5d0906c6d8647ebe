//! The meaning of an API's response for its call, and for the access token with which the call was sent.

use crate::io::{Body, ResponseHead};
use rules::base::error::{Code, Error};
use rules::base::http::RESPONSE_STATUSES;
use rules::codec::json;
use rules::oauth::www_authenticate;
use rules::prelude::*;

/// The status of a response with a part of a resource (RFC 9110 15.3.7).
const PARTIAL_CONTENT: u16 = 206;

/// The facts about a call by which its response is judged. The facts about tokens are those at the time of the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentCall {
    pub(super) body: Body,
    pub(super) is_media: bool,
    pub(super) was_retried: bool,
    pub(super) is_detached: bool,
    /// True if the session has a token for this call that is newer than the call's.
    pub(super) has_newer_token: bool,
    /// True if a refresh may bring a token that the API accepts.
    pub(super) can_refresh: bool,
    /// True if the call's token was requested because the token before was [`TokenVerdict::Spent`].
    pub(super) is_after_spent: bool,
    /// True if only a login of the user brings another token, and the API may accept that token.
    pub(super) needs_login: bool,
}

/// The meaning of a response for its call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No script can put the status into a `Response`, so the call fails with this error.
    Unusable(Error),
    /// The response is a part of a resource, and does not say which part, so the call fails.
    RangeHidden,
    /// The API refused the token, and the call is sent again once there is another token. Until then, the response is held
    /// back.
    Hold,
    /// The page gets the response, unless the API demands step-up authentication or more scope.
    Deliver(TokenVerdict),
}

/// The meaning of a response for the access token of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenVerdict {
    /// The API has not refused the token.
    Accepted,
    /// The API refused the token, and the refusal causes no refresh.
    Refused,
    /// The API refused two tokens in a row for this call: a further refresh would not help.
    RefusedAgain,
    /// The API refused the token, and the call cannot be sent again. The token is replaced before the next call.
    Spent,
    /// The API refused the token, and there is no other token until the user signs in.
    Last,
}

/// Decides what the head of a response means for its call.
pub(super) fn judge(head: &ResponseHead, call: &SentCall) -> Verdict {
    if let Some(error) = unusable(head.status) {
        return Verdict::Unusable(error);
    }
    if call.is_media && head.status == PARTIAL_CONTENT && !head.has_range {
        return Verdict::RangeHidden;
    }
    let is_refused = www_authenticate::refuses_token(head.status, head.www_authenticate.as_deref());
    // A call of an earlier session says nothing about the tokens of the current one.
    if call.is_detached {
        return Verdict::Deliver(match is_refused {
            true => TokenVerdict::Refused,
            false => TokenVerdict::Accepted,
        });
    }
    let is_first = is_refused && !call.was_retried;
    if is_first && call.body == Body::Replayable && (call.has_newer_token || call.can_refresh) {
        return Verdict::Hold;
    }
    let needs_refresh = !call.has_newer_token && call.can_refresh && !call.is_after_spent;
    Verdict::Deliver(match call.body {
        _ if is_refused && call.needs_login => TokenVerdict::Last,
        Body::OneShot if is_first && needs_refresh => TokenVerdict::Spent,
        // After the retry, every 401 counts, because the API may want more than another token.
        _ if head.status == 401 && call.was_retried => TokenVerdict::RefusedAgain,
        _ if is_refused => TokenVerdict::Refused,
        _ => TokenVerdict::Accepted,
    })
}

/// Returns the error of a call whose response cannot be passed on because of its status.
fn unusable(status: u16) -> Option<Error> {
    if status == 0 {
        let message = msg!(
            "the API responded with a redirect, and the browser does not say where it leads (open the URL in a tab; frequent targets are https, the path with or without a slash at its end, and a sign-in page)"
        );
        return Some(Error::new(Code::RedirectBlocked, message));
    }
    if RESPONSE_STATUSES.contains(&status) {
        return None;
    }
    let mut message = msg!("the API responded with the status ").to_owned();
    json::write_number(&mut message, status.into());
    message.push_str(msg!(", which no script can put into a Response"));
    Some(Error::new(Code::Unsupported, &message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that can be sent again after a refresh.
    const CALL: SentCall = SentCall {
        body: Body::Replayable,
        is_media: false,
        was_retried: false,
        is_detached: false,
        has_newer_token: false,
        can_refresh: true,
        is_after_spent: false,
        needs_login: false,
    };

    const STREAM: SentCall = SentCall {
        body: Body::OneShot,
        ..CALL
    };

    /// A call of a session without refresh token.
    const LONE: SentCall = SentCall {
        can_refresh: false,
        needs_login: true,
        ..CALL
    };

    fn head(status: u16, www_authenticate: Option<&str>) -> ResponseHead {
        ResponseHead {
            status,
            status_text: String::new(),
            url: String::new(),
            redirected: false,
            has_body: false,
            www_authenticate: www_authenticate.map(str::to_owned),
            dpop_nonce: None,
            has_range: false,
        }
    }

    fn judged(status: u16, call: SentCall) -> Verdict {
        judge(&head(status, None), &call)
    }

    #[test]
    fn refused_token_is_replaced_once() {
        use TokenVerdict::*;
        let retried = |call| SentCall {
            was_retried: true,
            ..call
        };
        let detached = |call| SentCall {
            is_detached: true,
            ..call
        };
        let renewed = |call| SentCall {
            has_newer_token: true,
            can_refresh: false,
            ..call
        };
        let hopeless = |call| SentCall {
            can_refresh: false,
            ..call
        };
        let after_spent = |call| SentCall {
            is_after_spent: true,
            ..call
        };
        for (call, verdict) in [
            (CALL, Verdict::Hold),
            (renewed(CALL), Verdict::Hold),
            (after_spent(CALL), Verdict::Hold),
            (hopeless(CALL), Verdict::Deliver(Refused)),
            (retried(CALL), Verdict::Deliver(RefusedAgain)),
            (detached(CALL), Verdict::Deliver(Refused)),
            (detached(retried(CALL)), Verdict::Deliver(Refused)),
            (STREAM, Verdict::Deliver(Spent)),
            (renewed(STREAM), Verdict::Deliver(Refused)),
            (hopeless(STREAM), Verdict::Deliver(Refused)),
            (after_spent(STREAM), Verdict::Deliver(Refused)),
            (detached(STREAM), Verdict::Deliver(Refused)),
            (LONE, Verdict::Deliver(Last)),
            (renewed(LONE), Verdict::Hold),
            (retried(LONE), Verdict::Deliver(Last)),
            (detached(LONE), Verdict::Deliver(Refused)),
        ] {
            assert_eq!(judged(401, call), verdict, "{call:?}");
            assert_eq!(judged(200, call), Verdict::Deliver(Accepted), "{call:?}");
            assert_eq!(judged(403, call), Verdict::Deliver(Accepted), "{call:?}");
        }
    }

    #[test]
    fn demand_of_an_api_does_not_refuse_the_token() {
        let head = head(
            401,
            Some(r#"Bearer error="insufficient_user_authentication""#),
        );
        let accepted = Verdict::Deliver(TokenVerdict::Accepted);
        for call in [CALL, STREAM, LONE] {
            assert_eq!(judge(&head, &call), accepted, "{call:?}");
        }
    }

    #[test]
    fn statuses_that_no_script_can_see_are_errors() {
        for (status, code) in [
            (0, Code::RedirectBlocked),
            (101, Code::Unsupported),
            (999, Code::Unsupported),
        ] {
            let Verdict::Unusable(error) = judged(status, CALL) else {
                panic!("{status}");
            };
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn part_of_a_file_needs_its_range() {
        let media = SentCall {
            is_media: true,
            ..CALL
        };
        let accepted = Verdict::Deliver(TokenVerdict::Accepted);
        assert_eq!(judged(206, media), Verdict::RangeHidden);
        assert_eq!(judged(206, CALL), accepted);
        let ranged = ResponseHead {
            has_range: true,
            ..head(206, None)
        };
        assert_eq!(judge(&ranged, &media), accepted);
    }
}
