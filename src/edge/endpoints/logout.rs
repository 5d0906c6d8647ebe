//! The end of a session: because its user says so (`POST <base>/logout`), or because the provider does
//! (`POST <base>/backchannel-logout`, OpenID Connect Back-Channel Logout 1.0).

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result, quote};
use crate::codec::form::{self, Form, with_query};
use crate::codec::json::{self, Value, Writer};
use crate::edge::coordinator::{Unreachable, key};
use crate::edge::csrf;
use crate::edge::io::{Effect, Reply, Respond};
use crate::edge::refresh::Refusal;
use crate::edge::request::Visit;
use crate::edge::response;
use crate::edge::session::cookies::{Found, fits};
use crate::edge::task::Task;
use crate::oauth::jwt::{Jwt, seconds};
use crate::session::EndReason;

/// The member of `events` that makes a logout token one (2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Octets of a logout request's body.
const MAX_BODY: usize = 64 * 1024;

/// Octets of a `jti`.
const MAX_JTI: usize = 512;

/// How long the way to the provider's logout is open.
const LEAVING: Millis = Millis::from_secs(120);

/// The key of the cookie that is for that way.
const LEAVING_KEY: &str = "logout";

/// How often a tombstone is written, against others who write it at the same time.
const ATTEMPTS: u32 = 5;

impl Visit {
    /// Ends the session everywhere, and says where the user is signed out at the provider, too.
    ///
    /// That address has the ID token in it, so script is given one of ours, which leads there.
    pub(in crate::edge) async fn logout(&self) -> Respond {
        let is_script = self.request.marker.is_some();
        let checked = if is_script {
            csrf::check_script(&self.request, &self.origin)
        } else {
            csrf::check_named(&self.request, &self.origin)
        };
        // A form's answer is a page. What script sends without its header is no form, and ends nothing.
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
        // A user who goes away has still said it.
        let _duty = self.task.duty();
        let session = match self.presented().await {
            Ok(session) => session,
            // Nobody can say whose it is: to say that it is over would not be true.
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
        let mut sealed = self.task.seal(LEAVING_KEY, hint).await.unwrap_or_default();
        if !fits(&self.jar().login(LEAVING_KEY), &sealed) {
            // Without it the provider asks the user whether they mean it (OpenID Connect RP-Initiated Logout 1.0 2).
            let none = self.task.seal(LEAVING_KEY, Secret::default()).await;
            sealed = none.unwrap_or_default();
        }
        cookies.push(self.jar().set_login(LEAVING_KEY, &sealed, LEAVING));
        let respond = if is_script {
            let body = Writer::object()
                .text("url", &leave)
                .flag("revoked", is_revoked)
                .finish();
            response::json(200, body)
        } else {
            response::redirect(leave)
        };
        Respond { cookies, ..respond }
    }

    /// On to the provider's logout (OpenID Connect RP-Initiated Logout 1.0), for a browser that has just logged out here.
    pub(in crate::edge) async fn leave(&self) -> Respond {
        let name = self.jar().login(LEAVING_KEY);
        let home = self.task.config().post_logout.as_deref().unwrap_or("/");
        let Found::Value(sealed) = self.cookies().one(&name) else {
            return response::redirect(home.to_owned());
        };
        let hint = self.task.open(LEAVING_KEY, &sealed).await.ok();
        let endpoint = match self.task.metadata().await {
            Ok(metadata) => metadata.end_session_endpoint.clone(),
            Err(_) => None,
        };
        let mut respond = match (endpoint, hint) {
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
        respond
            .headers
            .push(("referrer-policy", "no-referrer".to_owned()));
        respond.cookies.push(self.jar().clear(&name));
        respond
    }

    /// The provider ends sessions (2.5). It has no cookie and no header of ours: the token says who it is.
    pub(in crate::edge) async fn back_channel_logout(&self) -> Respond {
        let refuse = |error: &Error| {
            self.task.fault(error);
            let body = Writer::object()
                .text("error", "invalid_request")
                .text("error_description", error.message())
                .finish();
            response::json(400, body)
        };
        let token = match self.task.ask(Effect::Body(MAX_BODY)).await {
            Reply::Body(Some(body)) => logout_token(&body),
            _ => None,
        };
        let Some(token) = token else {
            return refuse(&invalid(&[msg!(
                "the body has no logout_token, or several"
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

/// The one parameter of a logout request (2.5).
fn logout_token(body: &Secret) -> Option<Secret> {
    let parameters = form::parse(body.expose())?;
    let mut tokens = parameters.iter().filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens
        .next()
        .is_none()
        .then(|| Secret::from(token.as_str()))
}

/// What a logout token asks for, after it was verified.
struct Logout {
    /// The provider's own number for the session; without it all of the subject's are meant.
    sid: Option<String>,
    subject: Option<String>,
    issued_at: u64,
    jti: String,
}

impl Task {
    /// Verifies a logout token (2.6): its signature, then every claim.
    async fn verified_logout(&self, token: &Secret) -> Result<Logout> {
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
        self.is_by_provider(&jwt).await?;
        let flow = &self.config().flow;
        let now = self.now().wall / 1000;
        let logout = read(
            &jwt,
            &flow.issuer,
            &flow.client_id,
            now,
            flow.clock_tolerance.as_secs(),
        )?;
        // Its number may have been forgotten by then, and no session is as old.
        if now.saturating_sub(logout.issued_at) >= flow.limits.absolute.as_secs() {
            return Err(invalid(&[msg!("it is older than any session")]));
        }
        Ok(logout)
    }

    /// Leaves a tombstone for each session that is meant. Gives whether the token came for the first time.
    async fn end_all(&self, logout: &Logout) -> core::result::Result<bool, Unreachable> {
        let issuer = self.config().flow.issuer.as_str();
        let used = key("jti", &[issuer, &logout.jti]);
        let tolerance = self.config().flow.clock_tolerance;
        let kept = self.config().flow.limits.absolute + Millis(tolerance.0 * 2);
        // Now, since sessions began by this clock and not by the provider's: a later one is not meant. So a token must
        // not come again, when there is one.
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
            // The provider's session never comes back under its number.
            (Some(sid), _) => (key("sid", &[issuer, sid]), u64::MAX),
            // The user may sign in again at once.
            (None, Some(subject)) => (key("subject", &[issuer, subject]), at),
            (None, None) => return Ok(false),
        };
        // First what matters: a provider that gets no answer sends the token again.
        self.leave_tombstone(tombstone, at, kept).await?;
        let is_first = self.swap(used, None, "1".to_owned(), kept).await?.is_some();
        self.isolate().known.borrow_mut().doubt_all();
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

/// The claims of a logout token (2.4 and 2.6), its signature having been checked.
fn read(jwt: &Jwt, issuer: &str, client_id: &str, now: u64, tolerance: u64) -> Result<Logout> {
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
    let Some(issued_at) = seconds(claims, "iat") else {
        return Err(invalid(&[msg!("its iat is missing, or no time")]));
    };
    if issued_at > now + tolerance {
        return Err(invalid(&[msg!("its iat is in the future")]));
    }
    match seconds(claims, "exp") {
        Some(exp) if exp + tolerance <= now => {
            return Err(invalid(&[msg!("it has expired")]));
        }
        None if claims.get("exp").is_some() => {
            return Err(invalid(&[msg!("its exp is no time")]));
        }
        // It is optional in the first version of the specification: then its age decides.
        None if issued_at + 300 + tolerance <= now => {
            return Err(invalid(&[msg!(
                "it has no exp, and is older than five minutes"
            )]));
        }
        _ => {}
    }
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
            msg!("one of its claims is no text, empty or too long: "),
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
    Ok(Logout {
        sid,
        subject,
        issued_at,
        jti,
    })
}

fn invalid(why: &[&str]) -> Error {
    let mut message = msg!("the logout token is refused: ").to_owned();
    message.extend(why.iter().copied());
    Error::of(Code::LogoutTokenInvalid, &[&message])
}
