//! A request at the handler's door: what it is for, and which session it brings.

use crate::prelude::*;
use alloc::rc::Rc;
use core::cell::Cell;

use crate::base::error::{Code, Error};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{self, Writer};
use crate::codec::url::Url;
use crate::edge::config::Storage;
use crate::edge::coordinator::A_MINUTE;
use crate::edge::csrf;
use crate::edge::endpoints::client_config;
use crate::edge::io::{Answer, Request, Respond};
use crate::edge::refresh::Refusal;
use crate::edge::response;
use crate::edge::session::Session;
use crate::edge::session::cookies::{Cookies, Found, Jar};
use crate::edge::session::seal::Closed;
use crate::edge::task::{Task, apart};
use crate::oauth::token_endpoint::scope_tokens;

/// Endpoints that a browser's window gets, and nothing else does.
const FOR_WINDOWS: &str = "login callback logout/provider popup";

/// Endpoints that scripts get.
const FOR_SCRIPTS: &str = "config session";

/// A request with what is known of it from the start.
pub(super) struct Visit {
    pub(super) task: Task,
    pub(super) request: Box<Request>,
    pub(super) url: Url,
    /// The app's own, as browsers see it.
    pub(super) origin: String,
    /// The storage in which the request's session was found. It differs from the configured one if `session.storage`
    /// was changed after the cookie was written.
    found_in: Cell<Storage>,
}

impl Task {
    /// Answers a request.
    pub(super) async fn answer(self, request: Box<Request>) -> Answer {
        match Visit::new(self, request) {
            Ok(visit) => visit.answer().await,
            Err(respond) => Answer::Respond(respond),
        }
    }
}

impl Visit {
    fn new(task: Task, request: Box<Request>) -> core::result::Result<Self, Respond> {
        let Some(url) = Url::parse(&request.url) else {
            return Err(response::empty(400));
        };
        let own = [url.scheme(), "://", url.host()].concat();
        let configured = task.config().origin.clone();
        // One that is configured is trustworthy: the configuration was checked.
        if configured.is_none() && !url.is_trustworthy() {
            let message = msg!(
                "the app is served over http, where cookies are not safe; if https ends before this handler, set `origin`"
            );
            task.fault_of(Code::ConfigInvalid, &[message]);
            return Err(response::empty(500));
        }
        let is_as_seen = configured.as_ref().is_none_or(|origin| *origin == own);
        let origin = configured.unwrap_or(own);
        // The platform's parser is not asked again for what it has said.
        let url = if is_as_seen && !url.has_userinfo() {
            url
        } else {
            Url::parse(&[&origin, url.relative()].concat()).ok_or_else(response::failure)?
        };
        let found_in = Cell::new(task.config().storage);
        Ok(Self {
            task,
            request,
            url,
            origin,
            found_in,
        })
    }

    async fn answer(&self) -> Answer {
        let path = self.url.path();
        let config = self.task.config();
        let own = path.strip_prefix(config.base.as_str());
        let Some(endpoint) = own.and_then(|rest| rest.strip_prefix('/')) else {
            return self.proxy().await;
        };
        let method = self.request.method.as_str();
        let is_navigation = csrf::is_navigation(&self.request);
        Answer::Respond(match (endpoint, method) {
            ("login", "GET") if is_navigation => apart(self.login()).await,
            ("callback", "GET") if is_navigation => apart(self.callback()).await,
            ("logout/provider", "GET") if is_navigation => apart(self.leave()).await,
            ("popup", "GET") if is_navigation => client_config::popup(),
            (_, "GET") if strings::contains_word(FOR_WINDOWS, endpoint) => response::refuse(
                403,
                Code::CrossSiteRequest,
                msg!("this address is for a browser's window, not for scripts or frames"),
            ),
            ("session", "GET") => apart(self.session()).await,
            ("config", "GET") => self.client_config(),
            ("logout", "POST") => apart(self.logout()).await,
            ("backchannel-logout", "POST") if config.back_channel_logout => {
                apart(self.back_channel_logout()).await
            }
            ("logout" | "backchannel-logout", _) => method_not_allowed("POST"),
            _ if strings::contains_word(FOR_WINDOWS, endpoint)
                || strings::contains_word(FOR_SCRIPTS, endpoint) =>
            {
                method_not_allowed("GET")
            }
            _ => response::empty(404),
        })
    }

    pub(super) fn cookies(&self) -> Cookies<'_> {
        Cookies::new(self.request.cookie.as_deref())
    }

    pub(super) fn jar(&self) -> Jar<'_> {
        Jar::new(self.task.config(), &self.origin)
    }

    /// The redirect URI of an app on this origin.
    pub(super) fn redirect_uri(&self) -> Url {
        let config = self.task.config();
        let callback = [&self.origin, config.base.as_str(), "/callback"].concat();
        Url::parse(&callback).unwrap_or_else(|| config.flow.redirect_uri.clone())
    }

    fn purpose(&self) -> String {
        let config = self.task.config();
        // Another provider, or another client of it, has nothing to do with its tokens.
        let (issuer, client) = (&config.flow.issuer, &config.client.id);
        ["session ", issuer, " ", client, " ", &self.jar().session()].concat()
    }

    /// The session in the browser's cookie, if one is there and opens. Nothing was held against its record yet.
    pub(super) async fn presented(&self) -> core::result::Result<Option<Rc<Session>>, Refusal> {
        let sealed = match self.cookies().whole(&self.jar().session()) {
            Found::Value(sealed) => sealed,
            Found::Nothing => return Ok(None),
            Found::Broken => {
                self.task.fault_of(
                    Code::CookieInvalid,
                    &[msg!(
                        "a browser sent two session cookies of one name, or parts of one"
                    )],
                );
                return Ok(None);
            }
        };
        let text = match self.task.open(&self.purpose(), &sealed).await {
            Ok(text) => text,
            Err(Closed::UnknownKey) => {
                let message =
                    msg!("a session's cookie is sealed with a key that is not in cookie.keys");
                self.task.fault_of(Code::KeyUnknown, &[message]);
                return Ok(None);
            }
            Err(Closed::NotGenuine) => {
                let message = msg!("a session's cookie is not what this handler sealed");
                self.task.fault_of(Code::CookieInvalid, &[message]);
                return Ok(None);
            }
        };
        // Isolates of two deployments may run at the same time with different values of `session.storage`.
        if Session::number_from_text(text.expose()).is_some() {
            self.found_in.set(Storage::InStore);
            return apart(self.task.stored(text.expose())).await.map(Some);
        }
        self.found_in.set(Storage::SealedInCookie);
        let session = Session::from_text(text.expose()).map(Rc::new);
        if session.is_none() {
            let message = msg!("a session's cookie is of another version");
            self.task.fault_of(Code::CookieInvalid, &[message]);
        }
        Ok(session)
    }

    /// The session that the request goes on with; `None` if the browser brings none.
    pub(super) async fn current(
        &self,
    ) -> core::result::Result<Option<(Rc<Session>, bool)>, Refusal> {
        let Some(presented) = self.presented().await? else {
            return Ok(None);
        };
        let config = self.task.config();
        // One that was made before the option was changed: its tokens are not what they have to be.
        if presented.key.is_some() != config.flow.dpop {
            let message = msg!("a session is of a time when `dpop` was set otherwise");
            self.task.fault_of(Code::CookieInvalid, &[message]);
            return Ok(None);
        }
        let before = presented.generation;
        let session = self.task.current(presented, self.found_in.get()).await?;
        let is_new = session.generation != before;
        Ok(Some((session, is_new)))
    }

    /// Returns true if the response must set a cookie: the user is active and the record of that is old, or the session
    /// moves to the other storage.
    pub(super) fn is_cookie_due(&self, session: &Session) -> bool {
        self.is_moved() || self.is_activity_due(session)
    }

    /// Returns true if the session moves to the other storage.
    fn is_moved(&self) -> bool {
        self.found_in.get() != self.task.config().storage
    }

    fn is_activity_due(&self, session: &Session) -> bool {
        let limits = &self.task.config().flow.limits;
        !csrf::is_background(&self.request) && session.is_activity_due(limits, &self.task.now())
    }

    /// The cookies that the answer sets: a new generation's, or that of a session whose user is active.
    pub(super) async fn refreshed(&self, session: Rc<Session>, is_new: bool) -> Vec<String> {
        if !is_new && !self.is_cookie_due(&session) {
            return Vec::new();
        }
        // Over, as this isolate has learnt meanwhile: the browser may have another one's cookie by now.
        let record = self.task.remembered(&session.sid).record;
        if record.is_some_and(|record| record.ended.is_some()) {
            return Vec::new();
        }
        let is_active = !csrf::is_background(&self.request);
        let active = if is_active {
            self.task.now().wall
        } else {
            session.active
        };
        let session = session.active_since(active);
        match self.task.config().storage {
            Storage::InStore if !self.is_moved() => {
                apart(self.task.touch(&session)).await;
                Vec::new()
            }
            _ => apart(self.keep(&session)).await.unwrap_or_default(),
        }
    }

    /// Keeps a session, and gives the cookies that say so.
    pub(super) async fn keep(
        &self,
        session: &Rc<Session>,
    ) -> core::result::Result<Vec<String>, Refusal> {
        let plain = match self.task.config().storage {
            Storage::SealedInCookie => session.to_text(),
            Storage::InStore => {
                self.task.store(session).await?;
                session.number()
            }
        };
        let limits = &self.task.config().flow.limits;
        let age = session.left(limits, &self.task.now());
        let sealed = self.task.seal(&self.purpose(), plain).await;
        let set = sealed.and_then(|sealed| self.jar().set_session(&self.cookies(), &sealed, age));
        set.ok_or_else(|| {
            let error = Error::new(
                Code::LimitExceeded,
                msg!("the session is too long for cookies: set session.storage to 'in-store'"),
            );
            self.task.fault(&error);
            Refusal::Later(error, A_MINUTE)
        })
    }

    /// Why there is no session, for a script; and the cookie goes if it is of no use any more.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Respond {
        let mut respond = response::refused(refusal);
        if matches!(refusal, Refusal::Ended(_)) {
            respond.cookies = self.jar().clear_session(&self.cookies());
        }
        respond
    }

    /// What the page may know: `GET <base>/session`.
    async fn session(&self) -> Respond {
        if let Err(error) = csrf::check_script(&self.request, &self.origin) {
            return response::error(403, &error);
        }
        let said = |view: &str| {
            let body = Writer::object().json("session", view).finish();
            response::json(200, body)
        };
        match self.current().await {
            Ok(None) => said("null"),
            Ok(Some((session, is_new))) => {
                let respond = said(&self.view(&session, "active"));
                let cookies = self.refreshed(session, is_new).await;
                Respond { cookies, ..respond }
            }
            // It goes on when the user has done what the provider asks: who they are is still known.
            Err(Refusal::Interaction) => match self.presented().await {
                Ok(Some(session)) => said(&self.view(&session, "interaction_required")),
                _ => self.refuse(&Refusal::Interaction),
            },
            Err(Refusal::Ended(reason)) => {
                let body = Writer::object()
                    .json("session", "null")
                    .text("reason", reason.as_str())
                    .finish();
                Respond {
                    cookies: self.jar().clear_session(&self.cookies()),
                    ..response::json(200, body)
                }
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// A session as pages see it: `Session` in `pkg/src/protocol/messages.ts`.
    fn view(&self, session: &Session, state: &str) -> String {
        let config = &self.task.config().flow;
        let id_token = session.id_token();
        let mut claims = Writer::object();
        if let Some(id_token) = &id_token {
            claims.text("sub", id_token.subject());
            for name in &config.claims {
                if let Some(value) = id_token.claims().get(name) {
                    claims.value(name, value);
                }
            }
        }
        let expires_at = session.began.saturating_add(config.limits.absolute.0);
        let idle_expires_at = session.active.saturating_add(config.limits.idle.0);
        Writer::object()
            .json("claims", &claims.finish())
            .json("scopes", &json::string_array(scope_tokens(&session.scope)))
            .text("state", state)
            .number("startedAt", session.began)
            .number("expiresAt", expires_at)
            .number("idleExpiresAt", idle_expires_at.min(expires_at))
            .number(
                "accessTokenExpiresAt",
                session.requested.saturating_add(session.lifetime.0),
            )
            .finish()
    }

    /// A page that says why a login failed. Its link to another attempt keeps `return_to`, where the user was.
    pub(super) fn login_failed(&self, error: &Error, return_to: Option<&str>) -> Respond {
        self.task.fault(error);
        let mut again = [self.task.config().base.as_str(), "/login"].concat();
        if let Some(return_to) = return_to {
            let mut query = Form::new();
            query.push("returnTo", return_to);
            again = [&again, "?", &query.finish()].concat();
        }
        let body = [
            "<p>",
            &response::escaped(error.message()),
            " (<code>",
            error.code().as_str(),
            r#"</code>).</p><p><a href=""#,
            &response::escaped(&again),
            r#"">Try again</a> or <a href="/">go back to the app</a>.</p>"#,
        ]
        .concat();
        let status = match error.code() {
            Code::ProviderUnavailable | Code::CoordinatorUnavailable => 503,
            Code::LoginDenied => 403,
            // The session is too long, or the host cannot do it: nothing that another login would mend.
            Code::LimitExceeded | Code::Unsupported => 500,
            Code::ClientRejected
            | Code::MetadataInvalid
            | Code::ScopeExceeded
            | Code::TokenResponseInvalid => 502,
            _ => 400,
        };
        response::page(status, "Signing in did not work", "", &body)
    }
}

fn method_not_allowed(allowed: &str) -> Respond {
    response::method_not_allowed(&[msg!("this address is for requests by ")], allowed)
}
