//! The renewal of the bound cookie: `POST <base>/bind/refresh`.
//!
//! The renewal needs only the signature. If the coordinator is down, the renewal succeeds, since each request checks by
//! itself if its session has ended. A browser's renewal gets only 200, 403 with a challenge, or 503: with most other
//! statuses browsers forget the bound session. Other requests get 403 without a challenge.

use alloc::rc::Rc;
use rules::prelude::*;

use super::registration::STATE_PURPOSE;
use super::{
    SessionReference, VERSION, age, challenge, ended, is_by_browser, is_signed,
    parse_signed_challenge, purpose, renewed,
};
use crate::config::Bind;
use crate::event::{Happened, RenewalResult};
use crate::io::OwnResponse;
use crate::lines::{LineReader, Unreadable};
use crate::refresh::bound;
use crate::refusal::RETRY_AFTER;
use crate::request::RequestContext;
use crate::response;
use crate::session::binding::{Binding, LIFE, MARGIN};
use crate::session::bound_cookie::{Subject, Use};
use crate::store::coordinator;
use crate::store::record_store;
use crate::store::seal;
use crate::task::boxed;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
use rules::codec::json::Value;
use rules::oauth::jwks::Jwk;

/// A browser must sign a challenge within this time. A copy of the signed challenge can be used again within it, too.
const CHALLENGE_LIFE: Millis = Millis::from_secs(60);

/// The state in the address of a renewal.
struct State {
    reference: SessionReference,
    thumbprint: String,
    /// The public key.
    jwk: String,
}

impl State {
    fn from_lines(mut lines: LineReader<'_>) -> Option<Self> {
        let state = Self {
            reference: SessionReference::from_lines(&mut lines)?,
            thumbprint: lines.text()?.to_owned(),
            jwk: lines.text()?.to_owned(),
        };
        lines.finish(state)
    }
}

async fn open_state(context: &RequestContext, sealed: &str) -> Result<State, Unreadable> {
    let text = seal::open(&context.task, &purpose(context, STATE_PURPOSE), sealed).await?;
    let lines = LineReader::new(text.expose(), VERSION);
    lines
        .and_then(State::from_lines)
        .ok_or(Unreadable::OtherVersion)
}

/// Renews a bound cookie.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    coordinator::find_time(&context.task).await;
    let is_named = context.request.bound_session.is_some();
    if !is_by_browser(context) || !is_named {
        return response::empty(403);
    }
    if context.task.bound_cookie().mode == Bind::Off {
        return ended(context);
    }
    let sealed = context.url.query();
    let state = match open_state(context, sealed).await {
        Ok(state) => state,
        Err(Unreadable::NotGenuine) => return ended(context),
        // Another isolate may be able to read it.
        Err(unreadable) => {
            let (code, why) = match unreadable {
                Unreadable::UnknownKey => (
                    Code::KeyUnknown,
                    msg!("the state of a renewal is sealed with a key that is not in cookie.keys"),
                ),
                _ => (
                    Code::CookieInvalid,
                    msg!("the state of a renewal was written by another version of the handler"),
                ),
            };
            return response::later(&Error::new(code, why), RETRY_AFTER);
        }
    };
    let State {
        reference,
        thumbprint,
        jwk,
    } = state;
    if !boxed(continues(context, &reference, &thumbprint)).await {
        return ended(context);
    }
    let subject = Subject {
        sid: &reference.sid,
        thumbprint: &thumbprint,
    };
    let is_renewed = has_signed_challenge(context, subject, &jwk).await;
    let result = match is_renewed {
        true => RenewalResult::Renewed,
        false => RenewalResult::Challenged,
    };
    context.task.observe(Happened::Renewal { result });
    // control: bound_cookie_needs_a_signature
    let (mut response, life) = if is_renewed {
        // The next renewal then needs one round trip.
        (renewed(context, subject, sealed), LIFE + MARGIN)
    } else {
        (response::empty(403), CHALLENGE_LIFE)
    };
    challenge(context, subject, life, &mut response);
    response
}

/// Returns true unless this isolate finds out in a moment that the session has ended, or is bound to another key.
async fn continues(
    context: &RequestContext,
    reference: &SessionReference,
    thumbprint: &str,
) -> bool {
    let task = &context.task;
    if age(context, reference.began) >= task.config().flow.limits.absolute {
        return false;
    }
    let session = Rc::new(reference.placeholder());
    record_store::fetch_briefly(task, &session).await;
    let binding = Binding {
        thumbprint: thumbprint.to_owned(),
        // No request is in flight.
        since: reference.began,
    };
    bound::restore(task, &session, &binding, reference.storage);
    let record = record_store::cached(task, &reference.sid).record;
    record.is_none_or(|record| {
        let bound = record.bound.as_ref();
        record.ended.is_none() && bound.is_none_or(|bound| bound.thumbprint == thumbprint)
    })
}

/// Returns true if the request has a challenge of this session that is signed with the session's key.
async fn has_signed_challenge(context: &RequestContext, subject: Subject<'_>, jwk: &str) -> bool {
    let signed = context
        .request
        .bound_response
        .as_deref()
        .and_then(parse_signed_challenge);
    let Some((jwt, algorithm, challenge)) = signed else {
        return false;
    };
    let task = &context.task;
    let now = task.earliest_arrival();
    if !subject.verify(task.config(), Use::Challenge, &challenge, now) {
        return false;
    }
    let value = Value::parse(jwk).ok();
    let object = value.as_ref().and_then(Value::as_object);
    match object.and_then(Jwk::public) {
        Some(key) => is_signed(context, &jwt, algorithm, &key).await,
        None => false,
    }
}
