//! The registration of a browser's key: the response to a login offers it, and the browser responds with a signed challenge.
//! A browser does not repeat a registration that has failed, so the handler then sets a cookie, with which the
//! next `GET <base>/session` offers it again. The login's own response sets another cookie, for a second offer ten minutes
//! later: Chromium sends no registration after too many signatures for a site. Before that time there is no second offer
//! without a failure, because the first registration may still be in progress.
//!
//! A copy of the session's cookie alone gets no offer: the response to the login went to the user's browser, and the cookie
//! for another offer is authenticated for its session, and used once. Script of the page can read another offer, so its
//! registration must have the session's cookie. The handler accepts a registration for two minutes after its offer. A second
//! key for one session ends the session.

use alloc::rc::Rc;
use rules::prelude::*;

use super::{
    REGISTRATION_PATH, SessionReference, VERSION, age, ended, is_by_browser, is_signed,
    parse_signed_challenge, purpose, renewed,
};
use crate::config::{Bind, Storage};
use crate::event::Happened;
use crate::io::OwnResponse;
use crate::isolate::Seldom;
use crate::lines::LineReader;
use crate::refresh::{bound, end};
use crate::refusal::Refusal;
use crate::request::RequestContext;
use crate::response;
use crate::session::Session;
use crate::session::binding::{Binding, OFFERED, REGISTRATION_LIFE, offers_end};
use crate::session::bound_cookie::{Subject, Use};
use crate::session::record::{Record, Stored};
use crate::store::{coordinator, record_store, seal};
use crate::task::boxed;
use rules::Secret;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::error::Code;
use rules::oauth::jwks::Jwk;
use rules::session::EndReason;

/// The response header that offers the registration.
const OFFER_HEADER: &str = "secure-session-registration";

/// The time for which a browser is known to bind sessions. Browsers keep cookies for 400 days at most.
const REMEMBERED: Millis = Millis::from_secs(400 * 86_400);

/// Largest number of attempts to write the binding while other tasks write the same record.
const WRITES: u32 = 5;

/// The purpose of a challenge.
const CHALLENGE_PURPOSE: &str = "bind challenge";

/// The purpose of the state in the address of a renewal.
pub(super) const STATE_PURPOSE: &str = "bound session";

/// Adds the offer to bind a new session to the response to its login, and sets the cookie for a second offer.
pub(crate) async fn offer(
    context: &RequestContext,
    session: &Session,
    storage: Storage,
    response: &mut OwnResponse,
) {
    let (task, jar) = (&context.task, context.jar());
    if task.bound_cookie().mode == Bind::Off {
        return;
    }
    if jar.bound().is_none() {
        let message = msg!(
            "browsers bind sessions over https only, and no cookies with the prefix __Host-Http-"
        );
        task.fault_seldom(Seldom::CannotBind, message);
        return;
    }
    add_offer(context, session, storage, None, response).await;
    let life = offers_end(&task.config().flow.limits);
    let until = session.began.saturating_add(life.0);
    let value = Subject::without_key(&session.sid).issue(task.config(), Use::SecondOffer, until);
    let cookie = jar.set_lax(&jar.unbound(), &value, life);
    response.cookies.push(cookie);
}

/// Adds the header that offers the registration. `again` is the time of an offer after the login's response.
async fn add_offer(
    context: &RequestContext,
    session: &Session,
    storage: Storage,
    again: Option<UnixMillis>,
    response: &mut OwnResponse,
) {
    let task = &context.task;
    let reference = SessionReference {
        sid: session.sid.clone(),
        began: session.began,
        storage,
    };
    let text = reference.to_lines().optional_number(again).finish();
    let purpose = purpose(context, CHALLENGE_PURPOSE);
    let Some(challenge) = seal::seal(task, &purpose, Secret::new(text)).await else {
        return;
    };
    let path = [&*task.config().base, REGISTRATION_PATH].concat();
    let value = [
        "(ES256 RS256);path=\"",
        &path,
        "\";challenge=\"",
        &challenge,
        "\"",
    ]
    .concat();
    response.headers.push((OFFER_HEADER, value));
}

/// Adds the offer again, if the registration that the login had offered has failed, or did not arrive in time. Replaces or
/// clears the cookie that allows it, which is authenticated for this session: with two offers the browser would make two
/// keys, and the second one would end the session.
pub(crate) async fn offer_again(
    context: &RequestContext,
    session: &Session,
    response: &mut OwnResponse,
) {
    let (task, jar) = (&context.task, context.jar());
    let cookies = task.bound_cookie();
    let arrived = task.earliest_arrival();
    let subject = Subject::without_key(&session.sid);
    // Otherwise a thief who has a copy of the session's cookie could bind the session to a key of their own.
    let is_failure = |value: &String| subject.verify(task.config(), Use::Offer, value, arrived);
    let has_failed = cookies.bind_failed.as_ref().is_some_and(is_failure)
        && age(context, session.began) < OFFERED;
    let unbound = cookies.unbound.as_deref();
    let is_due = unbound.is_some_and(|value| bound::is_second_offer_due(task, session, value));
    if !has_failed && !is_due || jar.bound().is_none() {
        return;
    }
    // The session may be bound already: the coordinator may have accepted a binding although the registration failed.
    if bound::binding(task, session).is_none()
        && (!coordinator::is_up(task) || boxed(record_store::fetch(task, session)).await.is_err())
    {
        return;
    }
    let is_bound = bound::binding(task, session).is_some();
    let cookie = if has_failed {
        jar.clear(&jar.bind_failed())
    } else if is_bound {
        jar.clear(&jar.unbound())
    } else {
        let until = task.now().wall.saturating_add(REGISTRATION_LIFE.0);
        let value = subject.issue(task.config(), Use::Offered, until);
        jar.set_lax(&jar.unbound(), &value, REGISTRATION_LIFE)
    };
    response.cookies.push(cookie);
    if !is_bound {
        let now = Some(task.now().wall);
        add_offer(context, session, context.found_in(), now, response).await;
    }
}

/// Writes the cookie with which the next `GET <base>/session` offers the registration again.
fn set_failed_registration(context: &RequestContext, sid: &str) -> String {
    let (config, jar) = (context.task.config(), context.jar());
    let until = context.task.now().wall.saturating_add(OFFERED.0);
    let value = Subject::without_key(sid).issue(config, Use::Offer, until);
    jar.set_lax(&jar.bind_failed(), &value, OFFERED)
}

/// Registers a key: `POST <base>/bind`.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    coordinator::find_time(&context.task).await;
    let signed = context
        .request
        .bound_response
        .as_deref()
        .and_then(parse_signed_challenge);
    let (true, Some((jwt, algorithm, challenge))) = (is_by_browser(context), signed) else {
        return response::empty(403);
    };
    if context.task.bound_cookie().mode == Bind::Off {
        return ended(context);
    }
    let Some((reference, again)) = session_of(context, &challenge).await else {
        return response::empty(403);
    };
    if again.is_some() && !has_cookie_of(context, &reference).await {
        return response::empty(403);
    }
    let Some(key) = jwt.jwk().and_then(Jwk::public) else {
        return response::empty(403);
    };
    if !is_signed(context, &jwt, algorithm, &key).await {
        return response::empty(403);
    }
    let thumbprint = key.thumbprint();
    match boxed(bind(context, &reference, &thumbprint, again)).await {
        Ok(Outcome::Bound) => {}
        Ok(Outcome::Ended) => return ended(context),
        // The browser keeps the session that it has bound already.
        Ok(Outcome::Twice) => return response::empty(403),
        Err(refusal) => {
            let mut response = context.refusal_response(&refusal).await;
            let cookie = set_failed_registration(context, &reference.sid);
            response.cookies.push(cookie);
            return response;
        }
    }
    let text = reference
        .to_lines()
        .text(&thumbprint)
        .text(key.public_json())
        .finish();
    let purpose = purpose(context, STATE_PURPOSE);
    let Some(state) = seal::seal(&context.task, &purpose, Secret::new(text)).await else {
        return response::failure();
    };
    let subject = Subject {
        sid: &reference.sid,
        thumbprint: &thumbprint,
    };
    let mut response = renewed(context, subject, &state);
    let jar = context.jar();
    response.cookies.push(jar.mark(&jar.binds(), REMEMBERED));
    response
}

/// Returns true if the request has the session's cookie. A script of the page can read an offer after the login's
/// response, and could let a server register a key, but it cannot read the cookie.
async fn has_cookie_of(context: &RequestContext, reference: &SessionReference) -> bool {
    let presented = context.presented().await;
    matches!(presented, Ok(Some(session)) if session.sid == reference.sid)
}

/// Returns the session that a challenge names, and the time of its offer if that is the second one. Returns `None` if the
/// challenge has expired.
async fn session_of(
    context: &RequestContext,
    challenge: &str,
) -> Option<(SessionReference, Option<UnixMillis>)> {
    let opened = seal::open(
        &context.task,
        &purpose(context, CHALLENGE_PURPOSE),
        challenge,
    )
    .await;
    let text = opened.ok()?;
    let mut lines = LineReader::new(text.expose(), VERSION)?;
    let reference = SessionReference::from_lines(&mut lines)?;
    let again = lines.optional_number()?;
    let offered = again.unwrap_or(reference.began);
    (age(context, offered) < REGISTRATION_LIFE).then_some((reference, again))
}

/// The outcome of a registration.
enum Outcome {
    /// The session is bound to this key.
    Bound,
    /// The session has ended, or is bound to another key.
    Ended,
    /// The browser has registered another key since the offer was made: two of its tabs got the second offer.
    Twice,
}

/// Writes the binding into the session's record, once. A second key ends the session if `session.bind` is enforced.
async fn bind(
    context: &RequestContext,
    reference: &SessionReference,
    thumbprint: &str,
    again: Option<UnixMillis>,
) -> Result<Outcome, Refusal> {
    let task = &context.task;
    let _guard = task.keep_alive();
    let unknown = reference.placeholder();
    let mut has_failed = false;
    for _ in 0..WRITES {
        let Ok(fetched) = record_store::fetch(task, &unknown).await else {
            return Err(record_store::unavailable(task, &reference.sid));
        };
        let Stored { version, record } = fetched.stored;
        let now = task.now().wall;
        let binding = Binding {
            thumbprint: thumbprint.to_owned(),
            since: now,
        };
        let next = match record.as_deref() {
            Some(record) if record.ended.is_some() => return Ok(Outcome::Ended),
            Some(record) => match &record.bound {
                None => record.with_binding(binding),
                Some(known) if known.thumbprint == thumbprint => return Ok(Outcome::Bound),
                // A thief who was first is found with the user's next login, which ends the session.
                Some(known) if again.is_some_and(|at| known.is_later_than(at)) => {
                    return Ok(Outcome::Twice);
                }
                Some(_) => {
                    // control: second_key_ends_session
                    if task.bound_cookie().mode.is_enforced() {
                        boxed(end_for_second_key(context, record, unknown)).await;
                    }
                    return Ok(Outcome::Ended);
                }
            },
            None if reference.storage == Storage::InStore => return Ok(Outcome::Ended),
            None => Record::of_bound(binding, now),
        };
        match record_store::write(task, &unknown, version, &Rc::new(next)).await {
            Ok(Some(_)) => return Ok(Outcome::Bound),
            Ok(None) => {}
            // The write may have arrived although its response was lost. A registration that is offered again has another
            // key, which would end the session, so find out.
            Err(_) if !has_failed => has_failed = true,
            Err(_) => break,
        }
    }
    Err(record_store::unavailable(task, &reference.sid))
}

async fn end_for_second_key(context: &RequestContext, record: &Record, unknown: Session) {
    context.task.fault_of(
        Code::SessionReplayed,
        &[msg!(
            "a second key was registered for a session; the session was ended"
        )],
    );
    let session = record.session.clone().unwrap_or_else(|| Rc::new(unknown));
    let refused = Happened::CopyRefused(Code::SessionReplayed);
    context.task.observe_session(&session, refused);
    end::end_session(&context.task, &session, EndReason::Security).await;
}
