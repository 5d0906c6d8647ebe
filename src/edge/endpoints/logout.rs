//! Logout by the user (`POST <base>/logout`), and by the provider (`POST <base>/backchannel-logout`, OpenID Connect
//! Back-Channel Logout 1.0).

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result, quote};
use crate::codec::form::{self, Form, with_query};
use crate::codec::json::{self, Value, Writer};
use crate::edge::coordinator::{Unreachable, key};
use crate::edge::csrf;
use crate::edge::io::{Effect, OwnResponse, Reply};
use crate::edge::refusal::Refusal;
use crate::edge::request::RequestContext;
use crate::edge::response;
use crate::edge::session::cookies::{CookieValue, fits};
use crate::edge::task::Task;
use crate::oauth::jwt::{Jwt, seconds};
use crate::session::EndReason;

/// The member of `events` that marks a logout token (2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Longest body of a logout request, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Longest `jti`, in bytes.
const MAX_JTI: usize = 512;

/// The lifetime of the cookie for the redirect to the provider's logout.
const LOGOUT_COOKIE_AGE: Millis = Millis::from_secs(120);

/// The key of that cookie.
const LOGOUT_COOKIE: &str = "logout";

/// Most attempts to write a tombstone while other isolates write it, too.
const ATTEMPTS: u32 = 5;

impl RequestContext {
    /// Ends the session everywhere, and returns the URL at which the user is also signed out at the provider.
    ///
    /// The provider's URL contains the ID token, so scripts get a URL of this handler that redirects there.
    pub(in crate::edge) async fn logout(&self) -> OwnResponse {
        let is_script = self.request.marker.is_some();
        let checked = if is_script {
            csrf::check_script(&self.request, &self.origin)
        } else {
            csrf::check_form_or_socket(&self.request, &self.origin)
        };
        // The response to a form is a page. A request by script must have the header.
        let is_form = self
            .request
            .mode
            .as_deref()
            .is_none_or(|mode| mode == "navigate");
        let checked = checked.and_then(|()| match is_script || is_form {
            true => Ok(()),
            false => csrf::check_script(&self.request, &self.origin),
        });
        if let Err(error) = checked {
            return response::error(403, &error);
        }
        // Finish the logout even if the client disconnects.
        let _guard = self.task.keep_alive();
        let session = match self.presented().await {
            Ok(session) => session,
            // The session cannot be read now, so the handler must not claim that it ended.
            Err(refusal @ Refusal::Later(..)) => return self.refuse(&refusal),
            Err(_) => None,
        };
        let is_revoked = match &session {
            Some(session) => {
                let arrived = self.task.arrived();
                let ended = self.task.end_since(session, EndReason::LoggedOut, arrived);
                ended.await
            }
            None => false,
        };
        let hint = session.map(|session| session.id_token.clone());
        let hint = hint.unwrap_or_default();
        let mut cookies = self.jar().clear_session(&self.cookies());
        let leave = [self.task.config().base.as_str(), "/logout/provider"].concat();
        let mut sealed = self
            .task
            .seal(LOGOUT_COOKIE, hint)
            .await
            .unwrap_or_default();
        if !fits(&self.jar().login(LOGOUT_COOKIE), &sealed) {
            // Without the hint, the provider asks the user to confirm the logout (OpenID Connect RP-Initiated Logout
            // 1.0 2).
            let none = self.task.seal(LOGOUT_COOKIE, Secret::default()).await;
            sealed = none.unwrap_or_default();
        }
        cookies.push(
            self.jar()
                .set_login(LOGOUT_COOKIE, &sealed, LOGOUT_COOKIE_AGE),
        );
        let response = if is_script {
            let body = Writer::object()
                .text("url", &leave)
                .flag("revoked", is_revoked)
                .finish();
            response::json(200, body)
        } else {
            response::redirect(leave)
        };
        OwnResponse {
            cookies,
            ..response
        }
    }

    /// Redirects to the provider's logout (OpenID Connect RP-Initiated Logout 1.0) a browser that has just logged out
    /// here.
    pub(in crate::edge) async fn provider_logout(&self) -> OwnResponse {
        let name = self.jar().login(LOGOUT_COOKIE);
        let home = self.task.config().post_logout.as_deref().unwrap_or("/");
        let CookieValue::Value(sealed) = self.cookies().value(&name) else {
            return response::redirect(home.to_owned());
        };
        let hint = self.task.open(LOGOUT_COOKIE, &sealed).await.ok();
        let endpoint = match self.task.metadata().await {
            Ok(metadata) => metadata.end_session_endpoint.clone(),
            Err(_) => None,
        };
        let mut response = match (endpoint, hint) {
            (Some(endpoint), Some(hint)) => {
                let mut form = Form::new();
                if !hint.expose().is_empty() {
                    form.push("id_token_hint", hint.expose());
                }
                form.push("client_id", &self.task.config().client.id);
                if let Some(path) = &self.task.config().post_logout {
                    form.push(
                        "post_logout_redirect_uri",
                        &[&self.origin, path.as_str()].concat(),
                    );
                }
                response::redirect(with_query(&endpoint, &form.finish()))
            }
            _ => response::redirect(home.to_owned()),
        };
        response
            .headers
            .push(("referrer-policy", "no-referrer".to_owned()));
        response.cookies.push(self.jar().clear(&name));
        response
    }

    /// Handles a logout by the provider (2.5). The request has neither a cookie nor `X-Strongroom`: the logout token
    /// authenticates it.
    pub(in crate::edge) async fn back_channel_logout(&self) -> OwnResponse {
        let refuse = |error: &Error| {
            self.task.fault(error);
            let body = Writer::object()
                .text("error", "invalid_request")
                .text("error_description", error.message())
                .finish();
            response::json(400, body)
        };
        let token = match self.task.perform(Effect::Body(MAX_BODY)).await {
            Reply::Body(Some(body)) => logout_token(&body),
            _ => None,
        };
        let Some(token) = token else {
            return refuse(&invalid(&[msg!(
                "the body must have exactly one logout_token"
            )]));
        };
        let logout = match self.task.verified_logout(&token).await {
            Ok(logout) => logout,
            Err(error)
                if matches!(
                    error.code(),
                    Code::ProviderUnavailable | Code::MetadataInvalid
                ) =>
            {
                return response::later(&error, Millis::from_secs(2));
            }
            Err(error) => return refuse(&error),
        };
        match self.task.end_all(&logout).await {
            Ok(true) => response::empty(200),
            Ok(false) => refuse(&invalid(&[msg!("its jti was used before")])),
            Err(Unreachable) => {
                let error = Error::new(
                    Code::CoordinatorUnavailable,
                    msg!("the coordinator cannot be reached"),
                );
                response::later(&error, Millis::from_secs(2))
            }
        }
    }
}

/// Returns the only parameter of a logout request (2.5).
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
    /// The provider's session ID. Without it, all sessions of the subject end.
    sid: Option<String>,
    subject: Option<String>,
    issued_at: u64,
    jti: String,
}

impl Task {
    /// Verifies a logout token (2.6): its signature, then every claim.
    async fn verified_logout(&self, token: &Secret) -> Result<LogoutToken> {
        let jwt = Jwt::parse(token.expose())
            .map_err(|reason| invalid(&[msg!("it "), reason.as_str()]))?;
        if jwt.typ().is_some_and(|typ| {
            !typ.eq_ignore_ascii_case("logout+jwt") && !typ.eq_ignore_ascii_case("JWT")
        }) {
            return Err(invalid(&[
                msg!("its typ is "),
                &quote(jwt.typ().unwrap_or_default()),
            ]));
        }
        self.check_provider_signature(&jwt).await?;
        let flow = &self.config().flow;
        let now = self.now().wall / 1000;
        let logout = read(
            &jwt,
            &flow.issuer,
            &flow.client_id,
            now,
            flow.clock_tolerance.as_secs(),
        )?;
        // By then the record of its `jti` may have expired; every session that old has ended anyway.
        if now.saturating_sub(logout.issued_at) >= flow.limits.absolute.as_secs() {
            return Err(invalid(&[msg!("it is older than any session")]));
        }
        Ok(logout)
    }

    /// Writes a tombstone for the sessions of the token. Returns false if the token was used before.
    async fn end_all(&self, logout: &LogoutToken) -> core::result::Result<bool, Unreachable> {
        let issuer = self.config().flow.issuer.as_str();
        let used = key("jti", &[issuer, &logout.jti]);
        let tolerance = self.config().flow.clock_tolerance;
        let kept = self.config().flow.limits.absolute + Millis(tolerance.0 * 2);
        // Compare by this clock, as `began` of sessions does. Later sessions are not affected, so the token must not be
        // accepted again for them.
        let at = self.now().wall;
        if self
            .read(vec![used.clone()])
            .await?
            .pop()
            .flatten()
            .is_some()
        {
            return Ok(false);
        }
        let (tombstone, at) = match (&logout.sid, &logout.subject) {
            // The provider never reuses a session ID.
            (Some(sid), _) => (key("sid", &[issuer, sid]), u64::MAX),
            // The user may sign in again at once, so only earlier sessions end.
            (None, Some(subject)) => (key("subject", &[issuer, subject]), at),
            (None, None) => return Ok(false),
        };
        // The tombstone comes first: without a response, the provider sends the token again.
        self.leave_tombstone(tombstone, at, kept).await?;
        let is_first = self.swap(used, None, "1".to_owned(), kept).await?.is_some();
        self.isolate().session_cache.borrow_mut().invalidate_all();
        Ok(is_first)
    }

    async fn leave_tombstone(
        &self,
        key: String,
        at: u64,
        kept: Millis,
    ) -> core::result::Result<(), Unreachable> {
        for _ in 0..ATTEMPTS {
            let found = self.read(vec![key.clone()]).await?.pop().flatten();
            let before = found
                .as_ref()
                .and_then(|entry| json::parse_u64(&entry.value));
            if before.is_some_and(|before| before >= at) {
                return Ok(());
            }
            let mut value = String::new();
            json::write_number(&mut value, at);
            let version = found.map(|entry| entry.version);
            if self
                .swap(key.clone(), version, value, kept)
                .await?
                .is_some()
            {
                return Ok(());
            }
        }
        Err(Unreachable)
    }
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

/// Checks the times of a logout token. Returns its `iat`.
fn check_times(jwt: &Jwt, now: u64, tolerance: u64) -> Result<u64> {
    let claims = jwt.claims();
    let Some(issued_at) = seconds(claims, "iat") else {
        return Err(invalid(&[msg!(
            "its iat is missing or not a valid NumericDate"
        )]));
    };
    if issued_at > now + tolerance {
        return Err(invalid(&[msg!("its iat is in the future")]));
    }
    match seconds(claims, "exp") {
        Some(exp) if exp + tolerance <= now => {
            return Err(invalid(&[msg!("it has expired")]));
        }
        None if claims.get("exp").is_some() => {
            return Err(invalid(&[msg!("its exp is not a valid NumericDate")]));
        }
        // `exp` is optional in the first version of the specification. Then the age decides.
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
