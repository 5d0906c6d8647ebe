//! One request with its context: the app's origin, and the session in its cookie.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use core::cell::Cell;
use rules::prelude::*;

use crate::config::origins::Origins;
use crate::config::{Bind, Config, Storage};
use crate::csrf;
use crate::io::{OwnResponse, Request, Response};
use crate::isolate::Seldom;
use crate::lines::Unreadable;
use crate::marker;
use crate::refresh;
use crate::refresh::status;
use crate::refusal::{OPERATOR_RETRY_AFTER, Refusal};
use crate::response;
use crate::session::binding::IN_FLIGHT;
use crate::session::cookies::{CookieValue, Cookies, Jar, PIECE};
use crate::session::{KEPT, Session};
use crate::store::coordinator::Unreachable;
use crate::store::record_store;
use crate::store::seal;
use crate::task::{BoundCookie, Task, boxed};
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::{self, Code, Error};
use rules::base::strings;
use rules::codec::url::Url;
use rules::config::Redirection;
use rules::session::EndReason;

/// The beginning of the parameter in the link of a page that waits for the user's click. The parameter is in no address
/// that the handler forwards.
pub(super) const CLICK: &str = "strongroom-click=";

/// A response within this time sets the cookie of a refreshed session without another check of the session's record. If
/// the browser has awaited the response for longer, the user may have signed in or out in another tab.
const QUICK: Millis = Millis::from_secs(1);

/// A response that takes longer than this sets a cookie only for a new generation: the browser may have a newer cookie.
const LATE: Millis = Millis::from_secs(20);

/// The end of the path at which a login begins, after the base.
const LOGIN: &str = "/login";

/// The end of the path of the list of the user's sessions, after the base.
const SESSIONS: &str = "/sessions";

/// A request with its URL and origin.
pub(super) struct RequestContext {
    pub(super) task: Task,
    pub(super) request: Box<Request>,
    /// The URL without [`CLICK`], and without a slash at the end of an endpoint.
    pub(super) url: Url,
    /// The value of [`CLICK`].
    pub(super) click: Option<String>,
    /// The app's origin, as browsers see it.
    pub(super) origin: String,
    /// The redirect URI of the app on this origin.
    pub(super) redirect_uri: Url,
    /// The storage in which the request's session was found. This storage differs from the configured one if
    /// `session.storage` was changed after the cookie was written.
    found_in: Cell<Storage>,
}

/// The message of a session that is too long for cookies.
pub(super) const TOO_LONG: &str = msg!(
    "the session needs more than two cookies, and servers would refuse the browser's requests, a logout too: set session.storage to 'in-store' (docs/edge-operate.md#limits-of-headers)"
);

impl RequestContext {
    pub(super) fn new(task: Task, request: Box<Request>) -> core::result::Result<Self, Response> {
        let Some(url) = Url::parse(&request.url) else {
            return Err(Response::Own(response::empty(400)));
        };
        let origins = &task.config().origins;
        let Some(origin) = origins.of(&url) else {
            return Err(at_unlisted_host(&task, &url));
        };
        // Configured origins are trustworthy: `Config::parse` has checked them.
        if matches!(origins, Origins::Requested) && !url.is_trustworthy() {
            let message = msg!(
                "the app is served over http, where cookies are not safe; if https ends before this handler, set `origin`"
            );
            task.fault_seldom(Seldom::PlainHttp, message);
            return Err(Response::Own(response::empty(500)));
        }
        let is_as_seen = origin == [url.scheme(), "://", url.host()].concat();
        let (relative, click) = without_click(&url);
        let relative = without_slash(&task.config().base, url.path(), relative);
        // Avoid parsing the URL a second time.
        let is_whole = matches!(relative, Cow::Borrowed(_));
        let url = if is_as_seen && !url.has_userinfo() && is_whole {
            url
        } else {
            let as_seen = Url::parse(&[&origin, &*relative].concat());
            as_seen.ok_or_else(|| Response::Own(response::failure()))?
        };
        let redirect_uri = url.with_path(&[task.config().base.as_str(), "/callback"].concat());
        let found_in = Cell::new(task.config().storage);
        let context = Self {
            task,
            request,
            url,
            click,
            origin,
            redirect_uri,
            found_in,
        };
        context.take_bound_cookie().map_err(Response::Own)?;
        Ok(context)
    }

    /// Passes the request's bound cookie to the task, with the value of `session.bind` for this request.
    fn take_bound_cookie(&self) -> core::result::Result<(), OwnResponse> {
        let mode = self.bind_mode()?;
        if mode == Bind::Off {
            // This is the default of a task.
            return Ok(());
        }
        let (cookies, jar) = (self.cookies(), self.jar());
        let value = |name: String| match cookies.value(&name) {
            CookieValue::Value(value) => Some(value),
            _ => None,
        };
        self.task.set_bound_cookie(Rc::new(BoundCookie {
            mode,
            value: jar.bound().and_then(value),
            was_skipped: self.request.bound_skipped.is_some(),
            unbound: value(jar.unbound()),
            bind_failed: value(jar.bind_failed()),
            has_bound: value(jar.binds()).is_some(),
        }));
        Ok(())
    }

    /// Returns the value of `session.bind` for this request, which a function of the app may have chosen.
    fn bind_mode(&self) -> core::result::Result<Bind, OwnResponse> {
        let mode = match &self.request.bind {
            None => Some(self.task.config().bind),
            Some(json) => Bind::from_json(json),
        };
        let is_function = self.request.bind.is_some();
        let has_unbound_callback = &self.task.isolate().has_unbound_callback;
        if mode == Some(Bind::Off) {
            let is_callback = self.url.path() == self.redirect_uri.path();
            if is_function && is_callback {
                has_unbound_callback.set(true);
            }
            return Ok(Bind::Off);
        }
        if is_function && has_unbound_callback.get() {
            let message = msg!(
                "`session.bind` returned false for a callback and another value for another request: the response to a login offers the binding, so no session is bound; return the value of the session's requests for the callback, too"
            );
            self.task.fault_seldom(Seldom::Bind, message);
        }
        let fault = match mode {
            None => msg!(
                "`session.bind` returned none of: false \"report\" \"if-supported\" \"required\""
            ),
            Some(Bind::Required) if self.jar().bound().is_none() => msg!(
                "`session.bind` is \"required\", but browsers bind sessions over https only, and no cookies with the prefix __Host-Http-"
            ),
            Some(mode) => return Ok(mode),
        };
        self.task.fault_seldom(Seldom::Bind, fault);
        Err(response::failure())
    }

    pub(super) fn cookies(&self) -> Cookies<'_> {
        Cookies::new(self.request.cookie.as_deref())
    }

    pub(super) fn jar(&self) -> Jar<'_> {
        Jar::new(self.task.config(), &self.origin)
    }

    /// Returns the redirection endpoint of an app on this origin. Responses are in the query, which a server can see.
    pub(super) const fn redirection(&self) -> Redirection<'_> {
        Redirection {
            uri: &self.redirect_uri,
            uses_fragment: false,
        }
    }

    /// Returns the host at which a session is valid that begins with this request. Without `origin`, this is the host name
    /// without the port, which proxies change. With an array of origins, it is the origin's host. With one origin, it is an
    /// empty string.
    pub(super) fn login_host(&self) -> &str {
        let host = self.url.host();
        match self.task.config().origins {
            Origins::One(_) => return "",
            Origins::Listed(_) => return host,
            Origins::Requested => {}
        }
        let before_port = host.bytes().rposition(|byte| !byte.is_ascii_digit());
        let name = before_port.and_then(|end| host.get(..=end)?.strip_suffix(':'));
        name.unwrap_or(host)
    }

    /// Returns the session unless its login was at another host, or at an unknown one. Otherwise any host that leads to this
    /// handler would accept a session's cookie.
    fn of_this_host(&self, session: Rc<Session>) -> Option<Rc<Session>> {
        let host = self.login_host();
        if host.is_empty() || session.host == host {
            return Some(session);
        }
        let why = match self.task.config().origins {
            Origins::Requested => {
                msg!("a session is used at another host than its login's (set `origin`): ")
            }
            _ => msg!("a session is used at another host than its login's: "),
        };
        let message = [why, host];
        self.task.fault_seldom(Seldom::OtherHost, &message.concat());
        None
    }

    /// Returns the storage in which the request's session was found.
    pub(super) fn found_in(&self) -> Storage {
        self.found_in.get()
    }

    fn purpose(&self) -> String {
        let config = self.task.config();
        // The purpose names the issuer, the client and the resource, so that a session of another one does not open. It
        // also says what identifies the user without OpenID Connect, so that no claim gets another meaning.
        let identity = match &config.flow.identity {
            Some(members) => [" identity ", &members.source()].concat(),
            None => String::new(),
        };
        let cookie = self.jar().session();
        ["session ", &config.flow.key(), &identity, " ", &cookie].concat()
    }

    /// Returns the session in the browser's cookie, or `None` without a valid cookie. Does not compare the session with
    /// its record.
    pub(super) async fn presented(&self) -> core::result::Result<Option<Rc<Session>>, Refusal> {
        let sealed = match self.cookies().joined(&self.jar().session()) {
            CookieValue::Value(sealed) => sealed,
            CookieValue::Missing => return Ok(None),
            CookieValue::Malformed => {
                let message =
                    msg!("a browser sent two session cookies of one name, or parts of one");
                self.task.fault_seldom(Seldom::Malformed, message);
                return Ok(None);
            }
        };
        let text = match self.opened(&sealed).await {
            Ok(text) => text,
            Err(unreadable) => {
                self.report_unreadable(unreadable);
                return Ok(None);
            }
        };
        // Isolates of two deployments may run at the same time with different values of `session.storage`, so the
        // cookie's content decides in which storage the session is.
        let session = if Session::reference_from_text(text.expose()).is_some() {
            self.found_in.set(Storage::InStore);
            Some(boxed(record_store::load_session(&self.task, text.expose())).await?)
        } else {
            self.found_in.set(Storage::SealedInCookie);
            let session = Session::from_text(text.expose());
            if session.is_none() {
                self.report_unreadable(Unreadable::OtherVersion);
            }
            session.map(Rc::new)
        };
        let session = session.and_then(|session| self.of_this_host(session));
        session
            .iter()
            .for_each(|session| self.task.note_session(session));
        Ok(session)
    }

    /// Reports that the session's cookie cannot be read.
    fn report_unreadable(&self, unreadable: Unreadable) {
        let (fault, message) = match unreadable {
            Unreadable::UnknownKey => (
                Seldom::UnknownKey,
                msg!(
                    "a session's cookie is sealed with a key that is not in cookie.keys: the key was removed, or another app on this host, also at another port, has the same cookie.name"
                ),
            ),
            Unreadable::OtherVersion => (
                Seldom::CookieOutdated,
                msg!("a session's cookie was written by another version of the handler"),
            ),
            Unreadable::NotGenuine => (
                Seldom::NotGenuine,
                msg!(
                    "a session's cookie was not sealed by this handler, or not for this issuer, client, identity and resource"
                ),
            ),
        };
        self.task.fault_seldom(fault, message);
    }

    /// Returns the content of the session's cookie.
    async fn opened(&self, sealed: &str) -> core::result::Result<Secret, Unreadable> {
        let purpose = self.purpose();
        let now = self.task.now();
        let opened = &self.task.isolate().opened;
        let known = opened.borrow_mut().get(&purpose, sealed, &now);
        if let Some(text) = known {
            return Ok(text);
        }
        let text = seal::open(&self.task, &purpose, sealed).await?;
        opened.borrow_mut().keep(purpose, sealed, &text, &now);
        Ok(text)
    }

    /// Returns the session for the request, and true if its generation is newer than the presented one. Returns `None`
    /// if the browser sent no valid session.
    pub(super) async fn current_session(
        &self,
    ) -> core::result::Result<Option<(Rc<Session>, bool)>, Refusal> {
        let Some(presented) = self.presented().await? else {
            return Ok(None);
        };
        let config = self.task.config();
        // Refuse a session that began before the option `dpop` was changed: its tokens have a DPoP key although they
        // must not be, or the reverse.
        if presented.dpop_key.is_some() != config.flow.uses_dpop {
            let message = msg!("a session was created before `dpop` was changed");
            self.task.fault_seldom(Seldom::CookieOutdated, message);
            return Ok(None);
        }
        let before = presented.generation;
        let was_bound = presented.bound.is_some();
        let session = refresh::current_session(&self.task, presented, self.found_in.get()).await?;
        let is_new = session.generation != before || session.bound.is_some() != was_bound;
        Ok(Some((session, is_new)))
    }

    /// Returns the path at which a login begins.
    pub(super) fn login_path(&self) -> String {
        [self.task.config().base.as_str(), LOGIN].concat()
    }

    /// Returns true if the request counts as activity of the user. A login that another site began does not count, and
    /// neither does the list of the user's sessions.
    fn is_activity(&self) -> bool {
        let base = self.task.config().base.as_str();
        let endpoint = self.url.path().strip_prefix(base);
        // A page may load pictures without its user.
        let is_background =
            marker::is_background(&self.request) || csrf::is_of_media_element(&self.request);
        !is_background && !matches!(endpoint, Some(LOGIN | SESSIONS))
    }

    /// Returns true if the session must be saved again: the user is active and the last recorded activity is old.
    pub(super) fn is_cookie_due(&self, session: &Session) -> bool {
        let limits = &self.task.config().flow.limits;
        self.is_activity() && session.is_activity_due(limits, &self.task.now())
    }

    /// Returns the cookies of a new generation, or of a session whose user is active. For a session that is and stays in the
    /// store, sets no cookie, and records the user's activity in the store instead.
    ///
    /// A session that was found in another storage than the configured one moves with these cookies. It does not move
    /// at once, because requests may alternate between two deployments with different values of `session.storage`.
    async fn saved_cookies(&self, session: Rc<Session>, is_new: bool) -> Vec<String> {
        if !is_new && !self.is_cookie_due(&session) {
            return Vec::new();
        }
        // Set no cookie if this isolate has seen the session end: the browser may have another session's cookie by now.
        let record = record_store::cached(&self.task, &session.sid).record;
        if record.is_some_and(|record| record.ended.is_some()) {
            return Vec::new();
        }
        let active = if self.is_activity() {
            self.task.now().wall
        } else {
            session.active
        };
        let session = session.active_since(active);
        if self.stays_in_store() {
            boxed(record_store::record_activity(&self.task, &session)).await;
            return Vec::new();
        }
        let (found_in, storage) = (self.found_in.get(), self.task.config().storage);
        let mut saved = boxed(self.save_session(&session, storage)).await;
        // A session that cannot move stays where it was.
        if found_in != storage && matches!(saved, Err(Refusal::Later(..))) {
            saved = boxed(self.save_session(&session, found_in)).await;
        }
        saved.unwrap_or_default()
    }

    /// Returns true if the session is and stays in the store. Its browser needs no other cookie.
    fn stays_in_store(&self) -> bool {
        let storages = [self.found_in.get(), self.task.config().storage];
        storages == [Storage::InStore; 2]
    }

    /// Reads the record of the presented session, if there is one, however lately it was read: another isolate may have ended
    /// the session a moment ago.
    pub(super) async fn read_record(&self) -> core::result::Result<(), Unreachable> {
        if let Ok(Some(presented)) = self.presented().await {
            boxed(record_store::fetch(&self.task, &presented)).await?;
        }
        Ok(())
    }

    /// Returns the cookies that the response sets: those of [`Self::saved_cookies`], unless the browser may have the cookie
    /// of another session by now.
    pub(super) async fn updated_cookies(&self, session: Rc<Session>, is_new: bool) -> Vec<String> {
        let is_quick = self.waited() <= QUICK;
        let is_late = self.waited_here() > LATE;
        let brings_cookie = is_new || !is_late && self.is_cookie_due(&session);
        let latest = if !brings_cookie {
            None
        } else if is_new && is_quick {
            Some(session)
        } else {
            // By now, the browser may have the cookie of a newer generation or of another session. This session's cookie
            // must not replace that cookie.
            let is_cache_enough = is_new || is_quick || self.stays_in_store();
            let again = status::recheck(&self.task, session, is_cache_enough);
            boxed(again).await.ok()
        };
        match latest {
            Some(session) => self.saved_cookies(session, is_new).await,
            None => Vec::new(),
        }
    }

    /// Saves a session in this storage, and returns the cookies for it.
    pub(super) async fn save_session(
        &self,
        session: &Rc<Session>,
        storage: Storage,
    ) -> core::result::Result<Vec<String>, Refusal> {
        let plain = match storage {
            Storage::SealedInCookie => session.to_text(),
            Storage::InStore => {
                record_store::store_session(&self.task, session).await?;
                session.reference()
            }
        };
        let limits = &self.task.config().flow.limits;
        let age = session.left(limits, &self.task.now()) + KEPT;
        let sealed = seal::seal(&self.task, &self.purpose(), plain).await;
        let sealed = match sealed.filter(|sealed| !needs_cookie_for_hint(sealed, session)) {
            None if storage == Storage::SealedInCookie && session.latest.is_some() => {
                // The session continues without the hint for the logout at the provider.
                let shorter = Session {
                    latest: None,
                    ..Session::clone(session)
                };
                boxed(seal::seal(&self.task, &self.purpose(), shorter.to_text())).await
            }
            sealed => sealed,
        };
        let is_long = sealed.as_ref().is_some_and(|sealed| sealed.len() > PIECE);
        let set = sealed.and_then(|sealed| self.jar().set_session(&self.cookies(), &sealed, age));
        if is_long && set.is_some() && !self.task.isolate().has_warned_of_length.replace(true) {
            let message = msg!(
                "a session needs two cookies, which proxies may refuse (nginx by default, with 502): raise their limits, or set session.storage to 'in-store' (docs/edge-operate.md#limits-of-headers)"
            );
            self.task.fault_of(Code::LimitExceeded, &[message]);
        }
        set.ok_or_else(|| {
            let error = Error::new(Code::LimitExceeded, TOO_LONG);
            self.task.fault(&error);
            Refusal::Later(error, OPERATOR_RETRY_AFTER)
        })
    }

    /// Returns true if this browser had a session whose end lets only the user begin a login.
    pub(super) fn has_left(&self) -> bool {
        self.cookies().value(&self.jar().left()) != CookieValue::Missing
    }

    /// Returns the time since this process read the request. If the app's server sends the request for a page, this is the
    /// time since the page's request was read: the response is sent with the page.
    fn waited_here(&self) -> Millis {
        let outer = self.request.outer.as_ref();
        let outer_age = outer.map_or(Millis::ZERO, |outer| outer.age);
        outer_age + self.task.arrived().elapsed(&self.task.now())
    }

    /// Returns the longest time for which the browser may have awaited the response: here, and before this process read the
    /// request.
    fn waited(&self) -> Millis {
        self.waited_here() + self.task.lateness()
    }

    /// Returns true if a login may have ended the session a moment ago: then the browser has the cookie of another session.
    async fn may_be_followed(&self, refusal: &Refusal) -> bool {
        let Refusal::Ended(EndReason::Replaced | EndReason::LoggedOut | EndReason::Forgotten) =
            refusal
        else {
            return false;
        };
        let CookieValue::Value(sealed) = self.cookies().joined(&self.jar().session()) else {
            return false;
        };
        let Ok(text) = self.opened(&sealed).await else {
            return false;
        };
        let text = text.expose();
        let record = match Session::reference_from_text(text) {
            Some((sid, _)) => record_store::cached(&self.task, sid).record,
            None => Session::from_text(text)
                .and_then(|session| record_store::cached(&self.task, &session.sid).record),
        };
        let since = |at| Millis(self.task.earliest_arrival().saturating_sub(at));
        record.is_some_and(|record| since(record.committed_at) <= IN_FLIGHT)
    }

    /// Clears the session's cookies, and remembers an end that lets only the user begin a login.
    pub(super) async fn ended_cookies(&self, refusal: &Refusal) -> Vec<String> {
        // By now, the browser may have the cookie of another session. Otherwise its next request clears this one.
        if self.waited() > QUICK || boxed(self.may_be_followed(refusal)).await {
            return Vec::new();
        }
        let jar = self.jar();
        let mut cookies = jar.clear_session(&self.cookies());
        let waits = matches!(refusal, Refusal::Ended(reason) if reason.is_final());
        if !cookies.is_empty() && waits {
            cookies.push(jar.mark(&jar.left(), KEPT));
        }
        cookies
    }

    /// Builds the response for a script whose request gets no session. Clears the cookie if the session has ended.
    pub(super) async fn refusal_response(&self, refusal: &Refusal) -> OwnResponse {
        let mut response = response::refusal(refusal);
        // control: cookie_outlives_temporary_failures
        if matches!(refusal, Refusal::Ended(_)) {
            response.cookies = self.ended_cookies(refusal).await;
        }
        response
    }
}

/// Builds the response to a request whose host is not in `origin`. The response sets and clears no cookie. The app handles
/// its own paths.
fn at_unlisted_host(task: &Task, url: &Url) -> Response {
    if !is_handled(task.config(), url.path()) {
        return Response::NotHandled;
    }
    const WHY: &str = msg!("no entry of `origin` matches the host of a request");
    // The client has chosen the host, so only the response names it.
    task.fault_seldom(Seldom::UnlistedHost, WHY);
    let named = [WHY, ": ", &error::quote(url.host())];
    Response::Own(response::error(
        421,
        &Error::of(Code::HostNotAllowed, &named),
    ))
}

/// Returns true if a path belongs to an endpoint of the handler or to a route.
fn is_handled(config: &Config, path: &str) -> bool {
    let below = path.strip_prefix(config.base.as_str());
    below.is_some_and(|rest| rest.starts_with('/')) || config.route(path).is_some()
}

/// Returns the path and query of a URL without [`CLICK`], and the value of [`CLICK`].
fn without_click(url: &Url) -> (Cow<'_, str>, Option<String>) {
    if !strings::contains(url.query(), CLICK) {
        return (Cow::Borrowed(url.relative()), None);
    }
    let (mut relative, mut joint, mut click) = (url.path().to_owned(), '?', None);
    for parameter in strings::split(url.query(), b'&') {
        if let Some(value) = parameter.strip_prefix(CLICK) {
            click = Some(value.to_owned());
        } else {
            relative.push(joint);
            relative.push_str(parameter);
            joint = '&';
        }
    }
    (Cow::Owned(relative), click)
}

/// Returns the path and query of a request without the slash at the end of an endpoint's path, which some frameworks add to
/// every path.
fn without_slash<'a>(base: &str, path: &str, relative: Cow<'a, str>) -> Cow<'a, str> {
    let endpoint = path
        .strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('/'));
    match endpoint.and_then(|name| name.strip_suffix('/')) {
        Some(name) => {
            let query = relative.get(path.len()..).unwrap_or_default();
            Cow::Owned([base, "/", name, query].concat())
        }
        None => relative,
    }
}

/// Returns true if the latest ID token needs a cookie of its own, in addition to those that the session needs anyway.
/// Servers limit the length of all cookies together.
fn needs_cookie_for_hint(sealed: &str, session: &Session) -> bool {
    let latest = session
        .latest
        .as_ref()
        .map_or(0, |latest| latest.expose().len());
    let without = sealed.len().saturating_sub(latest * 4 / 3);
    sealed.len() / PIECE > without / PIECE
}
