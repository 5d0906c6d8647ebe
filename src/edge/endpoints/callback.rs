//! Signing in, from the provider back: `GET <base>/callback`.
//!
//! The answer counts only in the browser that began the login, once, and within ten minutes; a session that it brings
//! has a number of its own, so that nobody can have chosen it before (session fixation).

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result};
use crate::base::http::Outcome;
use crate::codec::base64url;
use crate::edge::config::SameSite;
use crate::edge::endpoints::login::{self, purpose};
use crate::edge::io::Respond;
use crate::edge::refresh::Refusal;
use crate::edge::request::Visit;
use crate::edge::response;
use crate::edge::session::cookies::Found;
use crate::edge::session::{SID, Session};
use crate::oauth::authorization_request::{self, AuthorizationResponse, Pending};
use crate::oauth::id_token::Occasion;
use crate::oauth::token_endpoint;
use crate::session::EndReason;

/// What the query of an answer ends with that came with the session's cookie, if there is one.
const AGAIN: &str = "again";

impl Visit {
    /// Takes in the provider's answer.
    pub(in crate::edge) async fn callback(&self) -> Respond {
        if self.comes_from_elsewhere() && !self.url.query().ends_with(AGAIN) {
            let path = self.url.relative_without_fragment();
            let joint = if self.url.query().is_empty() {
                "?"
            } else {
                "&"
            };
            return go_on("Signing you in", &[path, joint, AGAIN].concat());
        }
        let flow = &self.task.config().flow;
        let answer = match AuthorizationResponse::parse(flow, &self.redirect_uri(), self.url.href())
        {
            Ok(answer) => answer,
            Err(error) => return self.login_failed(&error, None),
        };
        let (name, found) = self.login_cookie(&answer.key);
        // Whatever comes of it, it was for this answer.
        let used = self.jar().clear(&name);
        let mut respond = match self.pending(&answer, found).await {
            Ok((pending, key)) => match self.finish_login(answer, &pending, key).await {
                Ok(respond) => respond,
                Err(error) => self.login_failed(&error, Some(&pending.return_to)),
            },
            Err(error) => self.login_failed(&error, None),
        };
        respond.cookies.push(used);
        respond
    }

    async fn finish_login(
        &self,
        answer: AuthorizationResponse,
        pending: &Pending,
        key: Option<Secret>,
    ) -> Result<Respond> {
        let task = &self.task;
        let flow = &task.config().flow;
        pending.check_age(task.now().wall)?;
        if pending.issuer != flow.issuer {
            return Err(Error::new(
                Code::IssuerMismatch,
                msg!("the login was begun with another issuer than the one configured now"),
            ));
        }
        let metadata = task.metadata().await?;
        let code = answer.code(pending, &metadata)?;
        let request = token_endpoint::code_request(
            &metadata.token_endpoint,
            &flow.client_id,
            self.redirect_uri().href(),
            &code,
            &pending.code_verifier,
        );
        let requested = task.now().wall;
        let outcome = task.send_proven(request, key.as_ref()).await;
        let Outcome::Reply(reply) = &outcome else {
            return Err(Error::new(
                Code::ProviderUnavailable,
                msg!("the token endpoint did not answer"),
            ));
        };
        let tokens = token_endpoint::read_code_exchange(reply, task.config().scheme())?;
        let occasion = Occasion::CodeExchange {
            nonce: &pending.nonce,
            max_age_seconds: pending.max_age,
        };
        let id_token = task
            .verified(&tokens, occasion)
            .await
            .map_err(Error::from)?;
        let exceeded = tokens.scope_beyond(&flow.scope);
        if tokens.misses_refresh_token(&flow.scope) && !flow.asks_consent && !pending.is_silent {
            task.fault(&token_endpoint::no_refresh_token());
        }
        let sid = base64url::encode(&task.isolate().random::<SID>());
        let session = Session::begin(sid, &id_token, *tokens, requested, &flow.scope).bound_to(key);
        let session = Rc::new(session);
        if let Some(exceeded) = &exceeded {
            task.fault(exceeded);
        }
        let kept = match exceeded.filter(|_| flow.refuses_unrequested_scopes) {
            Some(exceeded) => Err(Refusal::Later(exceeded, Millis::ZERO)),
            None => self.keep(&session).await,
        };
        let cookies = match kept {
            Ok(cookies) => cookies,
            Err(refusal) => {
                // Nobody will ever use it.
                task.revoke(&session).await;
                return Err(match refusal {
                    Refusal::Later(error, _) => error,
                    _ => Error::new(
                        Code::LimitExceeded,
                        msg!(
                            "the session is too long for cookies: set session.storage to 'in-store'"
                        ),
                    ),
                });
            }
        };
        // Not before: a login that fails leaves the session before it alone.
        self.end_other(id_token.subject()).await;
        let mut respond = self.arrive(&pending.return_to);
        respond.cookies = cookies;
        Ok(respond)
    }

    /// The login that this is the answer to, and the key for its tokens.
    async fn pending(
        &self,
        answer: &AuthorizationResponse,
        found: Found,
    ) -> Result<(Box<Pending>, Option<Secret>)> {
        let unknown = || {
            Error::new(
                Code::LoginUnknown,
                msg!(
                    "no login that began in this browser, at the address where it ends, is waiting for this answer"
                ),
            )
        };
        let Found::Value(sealed) = found else {
            return Err(unknown());
        };
        let opened = self.task.open(&purpose(&answer.key), &sealed).await;
        let read = opened.ok().and_then(|text| login::from_text(text.expose()));
        let is_wanted = self.task.config().flow.dpop;
        let read = read.filter(|(_, key)| key.is_some() == is_wanted);
        let (mut pending, key) = read.ok_or_else(unknown)?;
        pending.return_to =
            authorization_request::return_to(&self.redirect_uri(), Some(&pending.return_to))?;
        Ok((pending, key))
    }

    /// The session that the browser had before. Its refresh token is revoked only if it was another user's: for the same
    /// user many providers would revoke the new one, of the same grant, along with it.
    async fn end_other(&self, subject: &str) {
        let Ok(Some(before)) = self.presented().await else {
            return;
        };
        let is_same = before
            .id_token()
            .is_some_and(|token| token.subject() == subject);
        let reason = if is_same {
            EndReason::Replaced
        } else {
            EndReason::LoggedOut
        };
        self.task.end(&before, reason).await;
    }

    /// Whether a cookie that is for the same site only has not come along, since another site has sent the browser here.
    /// A page of ours that sends it here again brings it.
    fn comes_from_elsewhere(&self) -> bool {
        let site = self.request.site.as_deref();
        self.task.config().cookie.same_site == SameSite::Strict && site == Some("cross-site")
    }

    /// To where the user was. By a page of ours, if it must not look as if another site had sent the browser there, as it
    /// does from the provider: to a route, or with a cookie that would stay behind.
    fn arrive(&self, path: &str) -> Respond {
        let is_strict = self.task.config().cookie.same_site == SameSite::Strict;
        let is_from_app = matches!(
            self.request.site.as_deref(),
            Some("same-origin" | "same-site")
        );
        if self.leads_to_route(path) || is_strict && !is_from_app {
            go_on("You are signed in", path)
        } else {
            response::redirect(path.to_owned())
        }
    }
}

/// A page that sends the browser on.
fn go_on(title: &str, path: &str) -> Respond {
    let path = response::escaped(path);
    response::page(
        200,
        title,
        &[
            r#"<meta http-equiv="refresh" content="0; url="#,
            &path,
            r#"">"#,
        ]
        .concat(),
        &[r#"<p><a href=""#, &path, r#"">Go on to the app</a></p>"#].concat(),
    )
}
