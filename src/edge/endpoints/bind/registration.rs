//! The registration of a browser's key: the response to a login offers it, and the browser responds with a signed challenge.
//! A browser does not repeat a registration that has failed, so the handler then sets a cookie, with which the
//! next `GET <base>/session` offers it again. Without this cookie there is no second offer, because the first registration
//! may still be in progress.
//!
//! A copy of the session's cookie alone gets no offer: the response to the login went to the user's browser, and the cookie
//! of a failed registration is authenticated for its session. The handler offers a registration for a minute after the
//! login, and accepts it for two, and no refreshed cookie gets one. A second key for one session ends the session.

use crate::prelude::*;
use alloc::rc::Rc;

use super::{
    REGISTRATION_PATH, SessionReference, age, ended, is_by_browser, is_signed, lines,
    parse_signed_challenge, purpose, renewed,
};
use crate::Secret;
use crate::base::error::Code;
use crate::edge::config::{Bind, Storage};
use crate::edge::io::OwnResponse;
use crate::edge::isolate::Seldom;
use crate::edge::refresh::{bound, end};
use crate::edge::refusal::Refusal;
use crate::edge::request::RequestContext;
use crate::edge::response;
use crate::edge::session::Session;
use crate::edge::session::binding::{Binding, OFFERED, REGISTRATION_LIFE};
use crate::edge::session::cookies::CookieValue;
use crate::edge::session::record::{Record, Stored};
use crate::edge::store::bound_cookie::{Subject, Use};
use crate::edge::store::{coordinator, record_store, seal};
use crate::edge::task::boxed;
use crate::oauth::jwks::Jwk;
use crate::session::EndReason;

/// The response header that offers the registration.
const OFFER_HEADER: &str = "secure-session-registration";

/// Largest number of attempts to write the binding while other tasks write the same record.
const WRITES: u32 = 5;

/// The purpose of a challenge.
const CHALLENGE_PURPOSE: &str = "bind challenge";

/// The purpose of the state in the address of a renewal.
pub(super) const STATE_PURPOSE: &str = "bound session";

/// Adds the offer to bind the session to a response, unless the session is bound, or is no longer new.
pub(in crate::edge) async fn offer(
    context: &RequestContext,
    session: &Session,
    storage: Storage,
    response: &mut OwnResponse,
) {
    let task = &context.task;
    let is_new = session.generation == 0 && age(context, session.began) < OFFERED;
    if task.bound_cookie().mode == Bind::Off || !is_new || bound::binding(task, session).is_some() {
        return;
    }
    if context.jar().bound().is_none() {
        let message = msg!(
            "browsers bind sessions over https only, and no cookies with the prefix __Host-Http-"
        );
        task.fault_seldom(Seldom::CannotBind, message);
        return;
    }
    let reference = SessionReference {
        sid: session.sid.clone(),
        began: session.began,
        storage,
    };
    let text = reference.to_text();
    let sealed = seal::seal(
        task,
        &purpose(context, CHALLENGE_PURPOSE),
        Secret::new(text),
    )
    .await;
    let Some(challenge) = sealed else {
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

/// Adds the offer again, if the registration that the login had offered has failed. Clears the cookie that says so, because
/// with two offers the browser would make two keys, and the second one would end the session.
pub(in crate::edge) async fn offer_again(
    context: &RequestContext,
    session: &Session,
    response: &mut OwnResponse,
) {
    let name = context.jar().failed_registration();
    let CookieValue::Value(value) = context.cookies().value(&name) else {
        return;
    };
    let (config, now) = (context.task.config(), context.task.earliest_arrival());
    // Otherwise a thief who has a copy of the session's cookie could bind the session to a key of their own.
    if without_key(&session.sid).verify(config, Use::Offer, &value, now) {
        offer(context, session, context.found_in(), response).await;
        response.cookies.push(context.jar().clear(&name));
    }
}

/// Writes the cookie with which the next `GET <base>/session` offers the registration again.
fn set_failed_registration(context: &RequestContext, sid: &str) -> String {
    let (config, jar) = (context.task.config(), context.jar());
    let until = context.task.now().wall.saturating_add(OFFERED.0);
    let value = without_key(sid).issue(config, Use::Offer, until);
    jar.set_lax(&jar.failed_registration(), &value, OFFERED)
}

/// Returns the subject of a session that has no key yet.
const fn without_key(sid: &str) -> Subject<'_> {
    Subject {
        sid,
        thumbprint: "",
    }
}

/// Registers a key: `POST <base>/bind`.
pub(in crate::edge) async fn handle(context: &RequestContext) -> OwnResponse {
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
    let Some(reference) = session_of(context, &challenge).await else {
        return response::empty(403);
    };
    let Some(key) = jwt.jwk().and_then(Jwk::public) else {
        return response::empty(403);
    };
    if !is_signed(context, &jwt, algorithm, &key).await {
        return response::empty(403);
    }
    let thumbprint = key.thumbprint();
    match boxed(bind(context, &reference, &thumbprint)).await {
        Ok(true) => {}
        Ok(false) => return ended(context),
        Err(refusal) => {
            let mut response = context.refusal_response(&refusal);
            let cookie = set_failed_registration(context, &reference.sid);
            response.cookies.push(cookie);
            return response;
        }
    }
    let text = [
        &*reference.to_text(),
        "\n",
        &thumbprint,
        "\n",
        key.public_json(),
    ]
    .concat();
    let purpose = purpose(context, STATE_PURPOSE);
    let Some(state) = seal::seal(&context.task, &purpose, Secret::new(text)).await else {
        return response::failure();
    };
    let subject = Subject {
        sid: &reference.sid,
        thumbprint: &thumbprint,
    };
    renewed(context, subject, &state)
}

/// Returns the session that a challenge names, unless the challenge has expired.
async fn session_of(context: &RequestContext, challenge: &str) -> Option<SessionReference> {
    let opened = seal::open(
        &context.task,
        &purpose(context, CHALLENGE_PURPOSE),
        challenge,
    )
    .await;
    let text = opened.ok()?;
    let reference = SessionReference::from_lines(lines(text.expose()))?;
    (age(context, reference.began) < REGISTRATION_LIFE).then_some(reference)
}

/// Writes the binding into the session's record, once. Returns false if the session has ended, or is bound to another key.
/// A second key ends the session if `session.bind` is enforced.
async fn bind(
    context: &RequestContext,
    reference: &SessionReference,
    thumbprint: &str,
) -> Result<bool, Refusal> {
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
            Some(record) if record.ended.is_some() => return Ok(false),
            Some(record) => match &record.bound {
                None => record.with_binding(binding),
                Some(known) if known.thumbprint == thumbprint => return Ok(true),
                Some(_) => {
                    // control: second_key_ends_session
                    if task.bound_cookie().mode.is_enforced() {
                        boxed(end_for_second_key(context, record, unknown)).await;
                    }
                    return Ok(false);
                }
            },
            None if reference.storage == Storage::InStore => return Ok(false),
            None => Record::of_bound(binding, now),
        };
        match record_store::write(task, &unknown, version, &Rc::new(next)).await {
            Ok(Some(_)) => return Ok(true),
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
    end::end_session(&context.task, &session, EndReason::Security).await;
}
