//! The pages of a world: they connect to vaults, send messages, and store the responses.

use std::collections::{BTreeMap, BTreeSet};

use super::api::API;
use super::invariants::Invariant;
use super::page::{Page, PageResponse, Request};
use super::provider::params;
use super::{Event, World};
use rules::codec::json::{Object, Value};
use vault::{Body, CallId, Input, PortId, RequestId};

/// The pages of all vaults.
#[derive(Default)]
pub(super) struct Pages {
    pub(super) all: BTreeMap<PortId, Page>,
    /// Index of the vault to which each page is connected.
    pub(super) homes: BTreeMap<PortId, usize>,
    /// Pages that said hello and are still open.
    pub(super) greeted: BTreeSet<PortId>,
    pub(super) gone: BTreeSet<PortId>,
    /// Pages that the vault disconnected, in order.
    pub(super) closed: Vec<PortId>,
    /// For each page, the user of the last session that the page was told about.
    pub(super) told_user: BTreeMap<PortId, String>,
    /// For each page, the start of the last session that the page was told about.
    pub(super) told_start: BTreeMap<PortId, Option<u64>>,
    pub(super) last_port: PortId,
}

/// A page's request for an API.
pub struct Fetch<'a> {
    pub url: &'a str,
    pub method: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub background: bool,
    /// True for a background request that a user waits for.
    pub awaited: bool,
    pub keepalive: bool,
    /// The member `credentials` as JSON, or an empty string.
    pub credentials: &'a str,
    pub body: Body,
}

impl Default for Fetch<'_> {
    fn default() -> Self {
        Self {
            url: "https://api.example.com/v1/orders",
            method: "GET",
            headers: &[],
            background: false,
            awaited: false,
            keepalive: false,
            credentials: "",
            body: Body::Replayable,
        }
    }
}

impl World {
    /// Connects a page to the first vault. The page sends `hello`.
    pub fn open(&mut self) -> PortId {
        self.open_in(0)
    }

    /// Connects a page to this vault. The page sends `hello`.
    pub fn open_in(&mut self, vault: usize) -> PortId {
        let port = self.connect();
        self.pages.homes.insert(port, vault);
        self.say(port, r#"{"t":"hello","version":1}"#);
        port
    }

    /// Connects a page to the first vault. The page sends this message.
    pub fn open_framed(&mut self) -> PortId {
        let port = self.connect();
        self.pages.homes.insert(port, 0);
        self.workers.turn = 0;
        self.input(Input::Framed { port });
        self.say(port, r#"{"t":"hello","version":1}"#);
        port
    }

    /// Connects a page to the first vault. The page sends this message.
    pub fn open_saying(&mut self, hello: &str) -> PortId {
        let port = self.connect();
        self.pages.homes.insert(port, 0);
        self.say(port, hello);
        port
    }

    /// Connects a page to this vault. The page sends `hello` with the time at which the page was loaded.
    pub fn open_loaded_at(&mut self, loaded: u64, vault: usize) -> PortId {
        let port = self.connect();
        self.pages.homes.insert(port, vault);
        let hello = format!(r#"{{"t":"hello","version":1,"loaded":{loaded}}}"#);
        self.say(port, &hello);
        port
    }

    /// Connects a page to the first vault. The page sends no message.
    pub fn connect(&mut self) -> PortId {
        let port = self.pages.last_port.next();
        self.pages.last_port = port;
        self.pages.all.insert(port, Page::default());
        self.pages.homes.insert(port, 0);
        self.story(|_| format!("page {} connects", port.0));
        port
    }

    /// Closes a page without a message to its vault.
    pub fn leave(&mut self, port: PortId) {
        self.story(|_| format!("page {} is closed", port.0));
        self.ledger.waive_page(port);
        // While the vault handles this input, it may notice that a limit is reached and tell all pages. This page
        // therefore counts as gone only after the input.
        self.workers.turn = self.pages.homes[&port];
        self.input(Input::Disconnected { port });
        self.pages.gone.insert(port);
        self.pages.greeted.remove(&port);
    }

    /// Sends a message that is not a request.
    pub fn say(&mut self, port: PortId, text: &str) {
        self.say_with_body(port, text, Body::Replayable);
    }

    pub(super) fn say_with_body(&mut self, port: PortId, text: &str, body: Body) -> CallId {
        let call = self.calls.last.next();
        self.calls.last = call;
        self.workers.turn = self.pages.homes[&port];
        self.input(Input::Message {
            port,
            call,
            text,
            body,
        });
        call
    }

    /// Sends a request. `members` are the JSON members of the request's message without `id`.
    pub fn ask(&mut self, port: PortId, members: &str) -> Request {
        self.ask_with_body(port, members, Body::Replayable)
    }

    pub(super) fn ask_with_body(&mut self, port: PortId, members: &str, body: Body) -> Request {
        let page = self.pages.all.get_mut(&port).unwrap();
        page.last_id += 1;
        let request = Request {
            port,
            id: RequestId(page.last_id),
        };
        self.ask_again(request, members, body);
        request
    }

    /// Sends a request whose ID the page may have used before.
    pub fn ask_again(&mut self, request: Request, members: &str, body: Body) {
        self.ledger.asked(request);
        match type_of(members) {
            "login" => self.ledger.waits_for_user(request),
            "logout" => {
                let home = self.pages.homes[&request.port];
                if members.contains(r#""provider":true"#) {
                    self.watch.sessions.signs_out_at_provider(home);
                }
                let family = self.watch.sessions.told(home);
                self.calls.logouts.insert(request, family);
            }
            _ => {}
        }
        let user = self.pages.told_user.get(&request.port).cloned();
        self.calls.asked_as.insert(request, user);
        self.story(|world| {
            let Request { port, id } = request;
            let path = world
                .calls
                .urls
                .get(&request)
                .and_then(|url| url.strip_prefix(API));
            let path = path.map(|path| [" ", path].concat()).unwrap_or_default();
            let t = type_of(members);
            format!("page {} asks {}: {t}{path}", port.0, id.0)
        });
        let has = |member: &str| members.contains(member);
        let is_activity =
            has(r#""t":"fetch""#) && !has(r#""background":true"#) && !has(r#""media":true"#);
        self.calls.touching = is_activity.then_some(request);
        let has_no_body = has(r#""method":"GET""#) || has(r#""method":"HEAD""#);
        if is_activity && !has_no_body {
            let family = self.watch.sessions.told(self.pages.homes[&request.port]);
            self.calls.uploads.insert(request, family);
        }
        self.calls.requests.insert(self.calls.last.next(), request);
        let text = format!(r#"{{"id":{},{members}}}"#, request.id.0);
        self.say_with_body(request.port, &text, body);
    }

    /// Sends a message that ends a request. The message's type `t` is `abort` or `cancel`.
    pub fn give_up(&mut self, request: Request, t: &str) {
        self.ledger.waive(request);
        let Request {
            port,
            id: RequestId(id),
        } = request;
        self.story(|_| format!("page {} gives up request {id}", port.0));
        self.say(port, &format!(r#"{{"t":"{t}","id":{id}}}"#));
    }

    pub fn login(&mut self, port: PortId, mode: &str) -> Request {
        self.ask(port, &format!(r#""t":"login","mode":"{mode}""#))
    }

    pub fn callback(&mut self, port: PortId, url: &str) -> Request {
        self.ask(port, &format!(r#""t":"callback","url":"{url}""#))
    }

    pub fn logout(&mut self, port: PortId) -> Request {
        self.ask(port, r#""t":"logout","provider":false"#)
    }

    /// Calls an API from a page. `path` begins with `/`.
    pub fn fetch(&mut self, port: PortId, path: &str) -> Request {
        self.fetch_as(
            port,
            &Fetch {
                url: &[API, path].concat(),
                ..Fetch::default()
            },
        )
    }

    pub fn fetch_as(&mut self, port: PortId, fetch: &Fetch<'_>) -> Request {
        let id = RequestId(self.pages.all[&port].last_id + 1);
        self.calls
            .urls
            .insert(Request { port, id }, fetch.url.to_owned());
        self.ask_with_body(port, &fetch_members(fetch), fetch.body)
    }

    /// Opens a socket from a page.
    pub fn socket(&mut self, port: PortId, url: &str, protocols: &[&str]) -> Request {
        let mut names = String::new();
        let list: Vec<Value> = protocols.iter().map(|name| Value::from(*name)).collect();
        Value::from(list).write(&mut names);
        let members = format!(r#""t":"socket","url":"{url}","protocols":{names}"#);
        self.ask(port, &members)
    }

    /// Returns false if the vault rejected a call instead of sending the call to the API.
    pub(super) fn is_admitted(&self, call: Request) -> bool {
        let refusals = [
            "login_required",
            "message_invalid",
            "limit_exceeded",
            "url_not_allowed",
            "method_not_allowed",
            "header_not_allowed",
            "unsupported",
        ];
        !matches!(self.response(call), Some(PageResponse::Error { code, .. }) if refusals.contains(&code.as_str()))
    }

    /// Signs in by redirect, from start to end. Returns the callback's request.
    pub fn sign_in(&mut self, port: PortId) -> Request {
        let url = self.begin_login(port, "redirect");
        let response = self.provider.sign_in(&url);
        let callback = self.callback(port, &response);
        self.answer_all();
        callback
    }

    /// Starts a login. Returns the URL of the authorization request.
    pub fn begin_login(&mut self, port: PortId, mode: &str) -> String {
        let login = self.login(port, mode);
        self.answer_all();
        self.address(login)
    }

    pub fn page(&self, port: PortId) -> &Page {
        &self.pages.all[&port]
    }

    /// Returns all responses to a request, in order.
    pub fn responses(&self, request: Request) -> &[PageResponse] {
        let responses = self.pages.all[&request.port].responses.get(&request.id);
        responses.map_or(&[], Vec::as_slice)
    }

    /// Returns the last response to a request, if any.
    pub fn response(&self, request: Request) -> Option<&PageResponse> {
        self.responses(request).last()
    }

    /// Returns the URL to which a login or logout sends the user.
    pub fn address(&self, request: Request) -> String {
        match self.response(request) {
            Some(PageResponse::Navigate(url) | PageResponse::Done(Some(url))) => url.clone(),
            other => panic!("no URL but {other:?}"),
        }
    }

    /// Returns the status of the response to a call.
    #[track_caller]
    pub fn status(&self, request: Request) -> u16 {
        match self.response(request) {
            Some(PageResponse::Head { status, .. }) => *status,
            other => panic!("no head but {other:?}"),
        }
    }

    /// Returns the login options that the page was offered for a rejected call, as JSON, if any.
    pub fn offered_login(&self, request: Request) -> Option<String> {
        let errors = self.pages.all[&request.port].of_type("error");
        let is_its = |m: &&Object| m.get("id").and_then(Value::as_u64) == Some(request.id.0);
        let mut text = String::new();
        errors.rev().find(is_its)?.get("login")?.write(&mut text);
        Some(text)
    }

    /// Returns the error code in the response to a request.
    #[track_caller]
    pub fn code(&self, request: Request) -> &str {
        match self.response(request) {
            Some(PageResponse::Error { code, .. }) => code,
            other => panic!("no error but {other:?}"),
        }
    }

    /// Returns the message of the error with which a request was rejected.
    #[track_caller]
    pub fn error_message(&self, request: Request) -> &str {
        let mut errors = self.pages.all[&request.port].of_type("error");
        let is_its = |m: &&Object| m.get("id").and_then(Value::as_u64) == Some(request.id.0);
        errors.find(is_its).unwrap().str("message").unwrap()
    }

    /// Returns true if the vault has refused to serve a page.
    pub fn has_failed(&self, port: PortId) -> bool {
        self.pages.all[&port].of_type("failed").next().is_some()
    }

    /// Returns the code in the last `failed` message to a page.
    pub fn failure(&self, port: PortId) -> &str {
        let failed = self.pages.all[&port].of_type("failed").next_back();
        failed.unwrap().str("code").unwrap()
    }

    /// Returns the pages that the vault disconnected, in order.
    pub fn closed(&self) -> &[PortId] {
        &self.pages.closed
    }

    pub fn is_closed(&self, port: PortId) -> bool {
        self.pages.closed.contains(&port)
    }

    /// Returns the `elsewhere` member of the last message to a page about its session. The member is true if another
    /// vault has a session.
    pub fn elsewhere(&self, port: PortId) -> Option<bool> {
        self.last_session_message(port)?.get("elsewhere")?.as_bool()
    }

    /// Returns the codes of the warnings in the messages to a page.
    pub fn warnings(&self, port: PortId) -> Vec<&str> {
        let messages = self.page(port).messages.iter();
        let warnings = messages.filter(|message| message.str("t") == Some("warning"));
        warnings
            .map(|warning| warning.str("warning").unwrap())
            .collect()
    }

    /// Returns the session in the last message to a page about its session, if any.
    pub fn session(&self, port: PortId) -> Option<&Object> {
        self.last_session_message(port)?.get("session")?.as_object()
    }

    /// Returns the reason for the session's end from the last message to a page about its session, if the message has a
    /// reason.
    pub fn reason(&self, port: PortId) -> Option<&str> {
        self.last_session_message(port)?.str("reason")
    }

    pub(super) fn last_session_message(&self, port: PortId) -> Option<&Object> {
        let has_session = |m: &&Object| m.get("session").is_some();
        self.pages.all[&port].messages.iter().rfind(has_session)
    }

    /// Returns true if the vault no longer needs the body of the last message.
    pub fn has_forgotten_last_body(&self) -> bool {
        !self.calls.requests.contains_key(&self.calls.last)
    }

    /// Returns true if the address of a logout may contain an ID token.
    fn settings_allow_hint(&self) -> bool {
        self.config.parsed.login.sends_id_token_hint
    }

    pub(super) fn tell(&mut self, port: PortId, text: &str) {
        Invariant::OwnResponse.holds_if(!self.pages.gone.contains(&port), || {
            format!("page {} is closed and receives a message", port.0)
        });
        let searched = match self.settings_allow_hint() {
            true => without_hint(text),
            false => text.to_owned(),
        };
        self.witness.told(&searched);
        let page = self.pages.all.get_mut(&port).unwrap();
        let answered = page.told(text);
        let message = page.messages.last().unwrap();
        let t = message.str("t").unwrap();
        let mut what = t.to_owned();
        if let Some(session) = message.get("session") {
            let session = session.as_object();
            let claims = session.and_then(|s| s.get("claims")?.as_object());
            let home = self.pages.homes[&port];
            match claims.and_then(|claims| claims.str("sub")) {
                Some(user) => self.pages.told_user.insert(port, user.to_owned()),
                None => self.pages.told_user.remove(&port),
            };
            let beginning = session.and_then(|s| s.get("startedAt")?.as_u64());
            self.pages.told_start.insert(port, beginning);
            let name = claims.and_then(|claims| claims.str("name"));
            let name = name.filter(|_| self.provider.names_families);
            match beginning {
                Some(started_at) => {
                    let family = name.and_then(|name| name.parse().ok());
                    let what = || format!("a session, told to page {}", port.0);
                    self.watch.sessions.acts_for(home, family, what);
                    self.watch.told_session(home, started_at, name);
                    let state = session.and_then(|s| s.str("state"));
                    self.watch
                        .told_needs_user(home, state == Some("interaction_required"));
                }
                None => {
                    self.watch
                        .told_no_session(home, message.str("reason").map(plain_reason));
                }
            }
            let reason = message.str("reason").unwrap_or("none");
            what = match self.pages.told_user.get(&port) {
                Some(user) => format!("{t}: {user}'s session"),
                None => format!("{t}: no session, reason {reason}"),
            };
        }
        if t == "ready" {
            self.pages.greeted.insert(port);
        }
        let is_revoked = message.get("revoked").and_then(Value::as_bool) == Some(true);
        self.events.push(Event::Told(port, t.to_owned()));
        let Some((id, response)) = answered else {
            return self.story(|_| format!("vault tells page {}: {what}", port.0));
        };
        let request = Request { port, id };
        let family = self.calls.logouts.get(&request).filter(|_| is_revoked);
        // Another vault may have a successor that it is about to revoke.
        if let Some(family) = family.copied().flatten()
            && self.workers.vaults.len() == 1
        {
            self.check_revoked(request, family);
        }
        self.story(|_| {
            let what = match &response {
                PageResponse::Head { status, .. } => format!("{what} {status}"),
                PageResponse::Error { code, .. } => format!("{what} {code}"),
                _ => what,
            };
            format!("vault answers {request}: {what}")
        });
        if let (PageResponse::Head { url, .. }, Some(asked)) =
            (&response, self.calls.urls.get(&request))
        {
            Invariant::OwnResponse
                .holds_if(url == asked, || format!("{asked} is answered by {url}"));
        }
        let mut is_final = id != RequestId(0);
        if let PageResponse::Navigate(url) = &response {
            // A pushed login by redirect has no `state` in its URL.
            if let Some(state) = params(url.split_once('?').unwrap().1).get("state") {
                self.witness.secret_in_requests(state);
                // The opener of a popup waits for the end of the login.
                is_final = !state.ends_with(".p");
            }
        }
        // A login on another device continues.
        is_final &= !matches!(response, PageResponse::Device { .. });
        let was_asked = id == RequestId(0) || self.calls.asked_as.contains_key(&request);
        Invariant::OwnResponse.holds_if(was_asked, || format!("{request} was never made"));
        if is_final {
            self.ledger.answered(request);
        }
    }
}

impl World {
    /// Checks that a session has no valid refresh token, as a logout has said. A successor may be lost without the
    /// vault's knowledge, after the end of a worker. The body of the response to a revocation does not count (RFC 7009 2.2), so that of a portal confirms it, too.
    fn check_revoked(&self, request: Request, family: usize) {
        let is_its = |token: &String| self.provider.family_of(token) == Some(family);
        let is_excused = self.provider.answered_by_portal.contains(&family)
            || self.watch.forgotten().any(is_its);
        Invariant::Revoked.holds_if(is_excused || !self.provider.honors(family), || {
            format!("{request}, family {family}")
        });
    }
}

/// Returns the members of a `fetch` message.
pub fn fetch_members(fetch: &Fetch<'_>) -> String {
    let pair = |(name, value): &(&str, &str)| Value::from(vec![*name, *value]);
    let headers: Vec<Value> = fetch.headers.iter().map(pair).collect();
    let mut object = Object::new();
    object.push("t", "fetch".into());
    object.push("url", fetch.url.into());
    object.push("method", fetch.method.into());
    object.push("headers", headers.into());
    object.push("background", fetch.background.into());
    if fetch.awaited {
        object.push("awaited", true.into());
    }
    if fetch.keepalive {
        object.push("keepalive", true.into());
    }
    let mut text = String::new();
    object.write(&mut text);
    let members = text[1..text.len() - 1].to_owned();
    match fetch.credentials {
        "" => members,
        credentials => [&members, r#","credentials":"#, credentials].concat(),
    }
}

/// Returns the type `t` in the members of a message.
fn type_of(members: &str) -> &str {
    let (_, rest) = members.split_once(r#""t":""#).unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

/// Maps a provider's detailed reasons to `provider_ended`.
fn plain_reason(reason: &str) -> &str {
    match reason {
        "refresh_expired" | "revoked" | "reuse_detected" | "consent_withdrawn" | "mfa_required" => {
            "provider_ended"
        }
        other => other,
    }
}

/// Returns the message `done` of a logout without the value of `id_token_hint`. Other messages are returned unchanged.
fn without_hint(text: &str) -> String {
    const NAME: &str = "&id_token_hint=";
    match text.split_once(NAME) {
        Some((before, after)) if before.starts_with(r#"{"t":"done""#) => {
            let end = after.find(['&', '"']).unwrap_or(after.len());
            [before, NAME, &after[end..]].concat()
        }
        _ => text.to_owned(),
    }
}
