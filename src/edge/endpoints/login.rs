//! Signing in, as far as the provider: `GET <base>/login`.
//!
//! Each login has a cookie of its own, so several tabs may sign in at once. What is in it, `state`, `nonce` and
//! `code_verifier`, binds the provider's answer to this browser (RFC 9700 2.1 and 4.7).

use crate::prelude::*;

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::codec::form;
use crate::codec::json;
use crate::codec::url::Url;
use crate::config;
use crate::edge::csrf;
use crate::edge::io::Respond;
use crate::edge::proxy::dpop::Pair;
use crate::edge::request::Visit;
use crate::edge::response;
use crate::edge::session::cookies::{Found, fits};
use crate::oauth::authorization_request::{self, AuthorizationRequest, LoginParams, Pending};
use crate::oauth::pushed_authorization::{self, PushOutcome};

/// Logins that one browser may have under way.
const MOST: usize = 5;

/// Characters of a login's key in its cookie's name.
const KEY: usize = 22;

/// The part of a login's key that names its cookie.
pub(in crate::edge) fn cookie_key(key: &str) -> &str {
    key.get(..KEY).unwrap_or(key)
}

/// What a login's cookie is sealed for.
pub(in crate::edge) fn purpose(key: &str) -> String {
    ["login ", key].concat()
}

impl Visit {
    /// Sends the browser to the provider.
    pub(in crate::edge) async fn login(&self) -> Respond {
        match self.begin_login().await {
            Ok(respond) => respond,
            Err(error) => self.login_failed(&error, None),
        }
    }

    async fn begin_login(&self) -> Result<Respond> {
        let task = &self.task;
        let mut params = login_params(self.url.query(), &task.config().flow)?;
        // A window gets there only from the app, and by way of a login no other site gets it there either.
        let is_own = csrf::is_own_navigation(&self.request);
        let redirect_uri = self.redirect_uri();
        // As it will be read: what stands there may be another way to write it.
        let target = authorization_request::return_to(&redirect_uri, params.return_to.as_deref())?;
        if !is_own && (self.leads_to_route(&target) || self.leads_to_login(&target)) {
            params.return_to = None;
        }
        let metadata = task.metadata().await?;
        let entropy = task.isolate().random();
        let flow = &task.config().flow;
        let now = task.now().wall;
        let mut begun = authorization_request::build(flow, &redirect_uri, &params, &entropy, now)?;
        let pair = task.new_pair().await?;
        if let Some(pair) = &pair {
            begun = begun.bound_to(pair.public.clone());
        }
        let url = if task.config().par || metadata.require_pushed_authorization_requests {
            self.push(&begun, &metadata).await?
        } else {
            begun.url(&metadata)
        };
        // What an API may have demanded is for the browser's vault, which remembers what did not help.
        begun.pending.demand = None;
        let text = to_text(&begun.pending, pair.as_ref());
        let Some(sealed) = task.seal(&purpose(&begun.key), text).await else {
            return Err(Error::new(
                Code::Unsupported,
                msg!("the host could not seal a cookie"),
            ));
        };
        let jar = self.jar();
        // A browser would leave it out, and the answer would be one that nobody waits for.
        if !fits(&jar.login(cookie_key(&begun.key)), &sealed) {
            return Err(Error::new(
                Code::MessageInvalid,
                msg!("login option returnTo is too long for a cookie"),
            ));
        }
        let mut respond = response::redirect(url);
        let mut others = self.cookies().names(&jar.login(""));
        // Browsers send them in the order in which they were made (RFC 6265 5.4).
        others.truncate((others.len() + 1).saturating_sub(MOST));
        for name in others {
            respond.cookies.push(jar.clear(name));
        }
        let cookie = jar.set_login(
            cookie_key(&begun.key),
            &sealed,
            authorization_request::LIFETIME,
        );
        respond.cookies.push(cookie);
        Ok(respond)
    }

    /// Whether a path of the app's is one where an upstream's answer is shown to a window.
    pub(in crate::edge) fn leads_to_route(&self, path: &str) -> bool {
        let url = Url::parse_within(path, &self.url);
        let config = self.task.config();
        url.is_some_and(|url| config.route(url.path()).is_some_and(|route| route.navigate))
    }

    /// Whether a path of the app's begins another login, which would then be the app's.
    fn leads_to_login(&self, path: &str) -> bool {
        let login = [self.task.config().base.as_str(), "/login"].concat();
        Url::parse_within(path, &self.url).is_some_and(|url| url.path() == login)
    }

    async fn push(
        &self,
        begun: &AuthorizationRequest,
        metadata: &crate::oauth::metadata::Metadata,
    ) -> Result<String> {
        let Some(endpoint) = &metadata.pushed_authorization_request_endpoint else {
            return Err(Error::new(
                Code::MetadataInvalid,
                msg!("`par` is set, but the provider has no pushed_authorization_request_endpoint"),
            ));
        };
        let outcome = self
            .task
            .send_as_client(pushed_authorization::request(endpoint, begun), None)
            .await;
        match pushed_authorization::read(&outcome) {
            PushOutcome::Accepted(uri) => {
                let client_id = &self.task.config().client.id;
                Ok(pushed_authorization::authorization_url(
                    &uri, metadata, client_id, begun,
                ))
            }
            PushOutcome::Unsupported(error)
            | PushOutcome::Unreadable(error)
            | PushOutcome::Failed(error) => Err(error),
        }
    }

    /// Whether this browser has begun the login of this key, and with which cookie.
    pub(in crate::edge) fn login_cookie(&self, key: &str) -> (String, Found) {
        let name = self.jar().login(cookie_key(key));
        let found = self.cookies().one(&name);
        (name, found)
    }
}

/// What is sealed of a login: its text, and the private key that its tokens are to be bound to on a line of its own.
fn to_text(pending: &Pending, pair: Option<&Pair>) -> Secret {
    let json = pending.to_json();
    match pair {
        Some(pair) => Secret::new([json.expose(), "\n", pair.private.expose()].concat()),
        None => json,
    }
}

/// Reads it again.
pub(in crate::edge) fn from_text(text: &str) -> Option<(Box<Pending>, Option<Secret>)> {
    let (json, key) = strings::split_once(text, b'\n');
    let key = match key {
        Some(key) => Some(Pair::from_jwk(key)?.private),
        None => None,
    };
    Some((Pending::from_json(json)?, key))
}

/// The options of a login, from its address.
fn login_params(query: &str, config: &config::Config) -> Result<Box<LoginParams>> {
    let invalid = |why: &[&str]| Err(Error::of(Code::MessageInvalid, why));
    let Some(given) = form::parse(query) else {
        return invalid(&[msg!("the query is not UTF-8")]);
    };
    let mut params = Box::new(LoginParams::default());
    for (name, value) in given {
        let known = match name.as_str() {
            "returnTo" => &mut params.return_to,
            "prompt" => &mut params.prompt,
            "login_hint" => &mut params.login_hint,
            "ui_locales" => &mut params.ui_locales,
            "acr_values" => &mut params.acr_values,
            "max_age" => {
                let Some(seconds) = json::parse_u64(&value).filter(|_| params.max_age.is_none())
                else {
                    return invalid(&[msg!("login option max_age must be a number of seconds")]);
                };
                params.max_age = Some(seconds);
                continue;
            }
            _ if config.flows.login_params.contains(&name)
                && params.more.iter().all(|(known, _)| *known != name) =>
            {
                params.more.push((name, value));
                continue;
            }
            _ => {
                let name = crate::base::error::quote(&name);
                return invalid(&[
                    msg!("login option "),
                    &name,
                    msg!(" is unknown, or there twice, or not among loginParams"),
                ]);
            }
        };
        if known.replace(value).is_some() {
            let name = crate::base::error::quote(&name);
            return invalid(&[msg!("login option "), &name, msg!(" is there twice")]);
        }
    }
    Ok(params)
}
