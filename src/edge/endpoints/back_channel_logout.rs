//! Logout by the provider: `POST <base>/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0).

use rules::prelude::*;

use crate::io::{Effect, OwnResponse, Reply};
use crate::isolate::Seldom;
use crate::provider::verification;
use crate::request::RequestContext;
use crate::response;
use crate::store::coordinator::{self, Unreachable};
use crate::store::order;
use crate::store::user_end::{self, Name, Times};
use crate::task::Task;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error, Result};
use rules::codec::form;
use rules::codec::json::{self, Value, Writer};
use rules::oauth::jwt::{Jwt, seconds};

/// The member of `events` that marks a logout token (2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Longest body of a logout request, in bytes.
const MAX_LOGOUT_BODY: usize = 64 * 1024;

/// Longest `jti`, in bytes.
const MAX_JTI: usize = 512;

/// The pause before a failed logout is repeated. Each further pause is twice as long.
const FIRST_PAUSE: Millis = Millis(250);

/// The time after a request's arrival in which a failed logout is repeated.
const PATIENCE: Millis = Millis::from_secs(8);

/// Handles a logout by the provider (2.5). The request has neither a cookie nor `X-Strongroom`: the logout token
/// authenticates the request.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    // A forged token must not fill the log, or hide a refused token of the provider.
    let refuse = |fault: Seldom, error: &Error| {
        context.task.fault_seldom(fault, error.message());
        let body = Writer::object()
            .text("error", "invalid_request")
            .text("error_description", error.message())
            .finish();
        response::json(400, body)
    };
    let token = match context.task.perform(Effect::Body(MAX_LOGOUT_BODY)).await {
        Reply::Body(Some(body)) => logout_token(&body),
        _ => None,
    };
    let Some(token) = token else {
        let error = invalid(&[msg!("the body must have exactly one logout_token")]);
        return refuse(Seldom::UnsignedLogout, &error);
    };
    let jwt = match signed_token(&context.task, &token).await {
        Ok(jwt) => jwt,
        Err(error)
            if matches!(
                error.code(),
                Code::ProviderUnavailable | Code::MetadataInvalid
            ) =>
        {
            return response::later(&error, Millis::from_secs(2));
        }
        Err(error) => return refuse(Seldom::UnsignedLogout, &error),
    };
    let logout = match verified_logout(&context.task, &jwt) {
        Ok(logout) => logout,
        Err(error) => return refuse(Seldom::LogoutToken, &error),
    };
    match end_all(&context.task, &logout).await {
        Ok(true) => response::empty(200),
        Ok(false) => {
            let error = invalid(&[msg!("its jti was used before")]);
            refuse(Seldom::LogoutToken, &error)
        }
        Err(Unreachable) => {
            let error = Error::new(
                Code::CoordinatorUnavailable,
                msg!("the coordinator cannot be reached"),
            );
            response::later(&error, Millis::from_secs(2))
        }
    }
}

/// Returns the parameter `logout_token` of a logout request (2.5). Returns `None` if the parameter is missing or
/// repeated.
fn logout_token(body: &Secret) -> Option<Secret> {
    let parameters = form::parse(body.expose())?;
    let mut tokens = parameters.iter().filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens
        .next()
        .is_none()
        .then(|| Secret::from(token.as_str()))
}

/// The claims of a verified logout token.
struct LogoutToken {
    /// The provider's session ID. Without a session ID, all sessions of the subject that began before this logout end.
    sid: Option<String>,
    subject: Option<String>,
    issued_at: u64,
    jti: String,
}

/// Parses a logout token, and verifies its signature (2.6).
async fn signed_token(task: &Task, token: &Secret) -> Result<Box<Jwt>> {
    let jwt =
        Jwt::parse(token.expose()).map_err(|reason| invalid(&[msg!("it "), &reason.describe()]))?;
    if jwt.typ().is_some() && !jwt.is_of_type("logout+jwt") && !jwt.is_of_type("jwt") {
        return Err(invalid(&[msg!("its typ is not logout+jwt")]));
    }
    verification::check_signature(task, &jwt).await?;
    Ok(jwt)
}

/// Verifies every claim of a logout token (2.6) whose signature was verified.
fn verified_logout(task: &Task, jwt: &Jwt) -> Result<LogoutToken> {
    let flow = &task.config().flow;
    let now = task.now().wall / 1000;
    let logout = read(
        jwt,
        &flow.issuer,
        &flow.client_id,
        now,
        flow.clock_tolerance.as_secs(),
    )?;
    // Refuse a token that is older than the longest session. The record that its `jti` was used may have expired, and
    // all sessions that the token could end have ended anyway.
    if now.saturating_sub(logout.issued_at) >= flow.limits.absolute.as_secs() {
        return Err(invalid(&[msg!("it is older than any session")]));
    }
    Ok(logout)
}

/// Writes the end of the sessions of the token, and marks the token as used. Returns false if the token was used
/// before. Repeats the logout if a call of the coordinator fails, because most providers send a logout once.
async fn end_all(task: &Task, logout: &LogoutToken) -> core::result::Result<bool, Unreachable> {
    // The provider may not wait for the response.
    let _guard = task.keep_alive();
    let started = task.arrived().monotonic;
    // Each attempt has these times. Sessions that begin later continue, so the same token must not be accepted again.
    let logout_times = Times {
        received: task.now().wall,
        issued: logout.issued_at,
    };
    let (mut pause, mut may_be_marked) = (FIRST_PAUSE, false);
    loop {
        let result = write_end(task, logout, logout_times, &mut may_be_marked).await;
        let passed = task.own_time().monotonic.saturating_sub(started);
        if result.is_ok() || passed + pause > PATIENCE {
            return result;
        }
        task.pause(pause).await;
        pause = pause + pause;
    }
}

/// Makes one attempt for [`end_all`]. `may_be_marked` is true if an earlier attempt may have marked the token as used.
async fn write_end(
    task: &Task,
    logout: &LogoutToken,
    times: Times,
    may_be_marked: &mut bool,
) -> core::result::Result<bool, Unreachable> {
    let used = coordinator::client_key(task, "jti", &logout.jti);
    let mark = coordinator::read(task, vec![used.clone()]).await?;
    if mark.into_iter().any(|entry| entry.is_some()) {
        return Ok(*may_be_marked);
    }
    // The user may sign in again at once, and some providers then use the same `sid` again.
    let name = match (&logout.sid, &logout.subject) {
        (Some(sid), _) => Name::provider_session(sid),
        (None, Some(subject)) => Name::subject(subject),
        (None, None) => return Ok(false),
    };
    // The end is written before the token is marked as used. If this isolate stops in between, the provider gets
    // no response and may send the token again.
    order::write_logout(task, &name, times).await?;
    task.isolate().session_cache.borrow_mut().invalidate_all();
    let kept = user_end::lifetime(task);
    let marked = coordinator::swap(task, used, None, "1".to_owned(), kept).await;
    *may_be_marked |= marked.is_err();
    Ok(marked?.is_some())
}

/// Checks the claims of a logout token (2.4 and 2.6) whose signature was verified.
fn read(jwt: &Jwt, issuer: &str, client_id: &str, now: u64, tolerance: u64) -> Result<LogoutToken> {
    let claims = jwt.claims();
    if claims.str("iss") != Some(issuer) {
        return Err(invalid(&[msg!("its iss is not the configured issuer")]));
    }
    let is_for_us = match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => {
            !audiences.is_empty() && audiences.iter().all(|one| one.as_str() == Some(client_id))
        }
        _ => false,
    };
    if !is_for_us {
        return Err(invalid(&[msg!("its aud is not this client")]));
    }
    let issued_at = check_times(jwt, now, tolerance)?;
    let events = claims.get("events").and_then(Value::as_object);
    let event = events.and_then(|events| events.get(EVENT)?.as_object());
    if event.is_none() {
        return Err(invalid(&[msg!("its events have no back-channel logout")]));
    }
    if claims.get("nonce").is_some() {
        return Err(invalid(&[msg!(
            "it has a nonce, which only ID tokens have"
        )]));
    }
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_JTI => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(invalid(&[
            msg!("one of its claims is not a string, empty or too long: "),
            name,
        ])),
    };
    let (sid, subject) = (text("sid")?, text("sub")?);
    if sid.is_none() && subject.is_none() {
        return Err(invalid(&[msg!("it has neither sub nor sid")]));
    }
    let Some(jti) = text("jti")? else {
        return Err(invalid(&[msg!("it has no jti")]));
    };
    Ok(LogoutToken {
        sid,
        subject,
        issued_at,
        jti,
    })
}

/// Returns the error for a wrong time. The difference in seconds shows if a clock is wrong.
fn off_by(what: &str, seconds: u64) -> Error {
    let mut why = what.to_owned();
    json::write_number(&mut why, seconds);
    invalid(&[&why, " s"])
}

/// Checks the times of a logout token. Returns the token's `iat`.
fn check_times(jwt: &Jwt, now: u64, tolerance: u64) -> Result<u64> {
    let claims = jwt.claims();
    let Some(issued_at) = seconds(claims, "iat") else {
        return Err(invalid(&[msg!(
            "its iat is missing or not a valid NumericDate"
        )]));
    };
    if issued_at > now + tolerance {
        return Err(off_by(
            msg!("its iat is in the future by "),
            issued_at - now,
        ));
    }
    match seconds(claims, "exp") {
        Some(exp) if exp + tolerance <= now => {
            return Err(off_by(msg!("its exp is in the past by "), now - exp));
        }
        None if claims.get("exp").is_some() => {
            return Err(invalid(&[msg!("its exp is not a valid NumericDate")]));
        }
        // `exp` is optional in the first version of the specification. Without `exp`, the token's age decides.
        None if issued_at + 300 + tolerance <= now => {
            return Err(invalid(&[msg!(
                "it has no exp and is older than five minutes"
            )]));
        }
        _ => {}
    }
    Ok(issued_at)
}

fn invalid(why: &[&str]) -> Error {
    let mut message = msg!("the logout token was refused: ").to_owned();
    message.extend(why.iter().copied());
    Error::of(Code::LogoutTokenInvalid, &[&message])
}
