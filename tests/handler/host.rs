//! The host of one isolate. It performs the handler's effects and records them.

use std::collections::{BTreeMap, VecDeque};

use edge::{
    Allowed, Config, Effect, Entry, Event, Fault, Forward, Handler, Head, OwnResponse, Reply,
    Request, Response, Step, TaskId,
};
use rules::base::clock::{Instant, Millis};
use rules::session::EndReason;
use rules::{Code, Secret};
use serde_json::{Value, json};

use crate::browser::{Browser, Source};
use crate::crypto::{self, Pair};
use crate::provider::{ISSUER, Provider};

pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const COOKIE: &str = "__Host-strongroom";
pub(crate) const LOGIN_COOKIE: &str = "__Host-strongroom-login-";

/// Keys for cookies: 32 bytes each, as base64url.
pub(crate) const KEYS: [&str; 3] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "__________________________________________8",
    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8",
];

/// The response to a request.
#[derive(Debug)]
pub(crate) enum Answered {
    Own(OwnResponse),
    /// The host forwarded the upstream's response, which has this head.
    Passed {
        head: Head,
        cookies: Vec<String>,
        keeps_challenge: bool,
    },
    /// The answer to a check lets the request pass.
    Allowed(Allowed),
    NotOurs,
}

impl Answered {
    #[track_caller]
    pub(crate) fn own(self) -> OwnResponse {
        match self {
            Self::Own(response) => response,
            other => panic!("not answered by the handler: {other:?}"),
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Own(response) => response.status,
            Self::Passed { head, .. } => head.status,
            Self::Allowed(_) => 204,
            Self::NotOurs => 0,
        }
    }

    pub(crate) fn cookies(&self) -> &[String] {
        match self {
            Self::Own(response) => &response.cookies,
            Self::Passed { cookies, .. } => cookies,
            Self::Allowed(_) | Self::NotOurs => &[],
        }
    }

    /// Returns the error code in the response's header, or an empty string if the response has no error code.
    pub(crate) fn code(&self) -> String {
        let Self::Own(response) = self else {
            return String::new();
        };
        header(response, "x-strongroom")
            .unwrap_or_default()
            .to_owned()
    }
}

/// Returns a request of the provider that ends sessions. Its body is [`Host::body`].
pub(crate) fn logout_request() -> Request {
    Request {
        method: "POST".to_owned(),
        url: absolute("/auth/backchannel-logout"),
        has_body: true,
        ..Request::default()
    }
}

pub(crate) fn json_of(response: &OwnResponse) -> Value {
    let text = response.body.as_ref().map_or("null", |(_, text)| text);
    serde_json::from_str(text).unwrap_or(Value::Null)
}

pub(crate) fn location(response: &OwnResponse) -> &str {
    assert_eq!(response.status, 303, "{response:?}");
    header(response, "location").unwrap()
}

pub(crate) fn header<'a>(response: &'a OwnResponse, name: &str) -> Option<&'a str> {
    let mut of_name = response.headers.iter().filter(|(known, _)| *known == name);
    of_name.next().map(|(_, value)| value.as_str())
}

/// A request to an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) authorization: String,
    pub(crate) proof: Option<String>,
    /// The session's other tokens, for which the host also searches.
    pub(crate) others: String,
    pub(crate) copies_body: bool,
    pub(crate) is_upgrade: bool,
    /// Names of headers that the handler adds to the policy's list of kept headers, joined in one string.
    pub(crate) keep: String,
    pub(crate) remove: String,
    pub(crate) timeout: Millis,
    pub(crate) request_id: String,
}

pub(crate) struct Host {
    pub(crate) now: Instant,
    pub(crate) handler: Handler,
    pub(crate) provider: Provider,
    pub(crate) browser: Browser,
    /// The next responses of upstreams. After the last one, upstreams respond with 200.
    pub(crate) heads: VecDeque<Head>,
    pub(crate) upstream: Vec<Sent>,
    pub(crate) store: BTreeMap<String, Entry>,
    /// True if the coordinator can append.
    pub(crate) appends: bool,
    /// The lifetimes of entries in the store.
    pub(crate) lifetimes: BTreeMap<String, Millis>,
    /// An action of another isolate, just before the next write arrives at the store.
    pub(crate) before_write: Option<fn(&mut Host)>,
    /// True if each write takes effect, and is then repeated, so that it seems to have failed.
    pub(crate) repeats_swaps: bool,
    /// The description of the browser in JSON, which comes with navigations.
    pub(crate) description: Option<String>,
    /// The body that the handler gets when it next reads a request's body.
    pub(crate) body: Option<String>,
    pub(crate) client_has_left: bool,
    /// The names of the effects that fail.
    pub(crate) failing: Vec<&'static str>,
    /// True if the coordinator gives its time.
    pub(crate) store_time: bool,
    /// Wrong replies to the next effects, each with the name of its effect.
    pub(crate) wrong_replies: VecDeque<(&'static str, Reply)>,
    /// Seconds that each response of the provider takes.
    pub(crate) latency: u64,
    /// Seconds that each response of an upstream takes.
    pub(crate) upstream_latency: u64,
    /// The sealed values, each with its purpose and plaintext.
    pub(crate) sealed: Vec<(String, String)>,
    /// Parts of purposes, each with the number of a line. What is sealed for these gets another version in this line.
    pub(crate) other_versions: Vec<(&'static str, usize)>,
    /// The reads of the coordinator, as numbers of keys, and its writes, as `w`.
    pub(crate) store_calls: Vec<String>,
    /// The names of requested effects, in order. Tests may clear this list to count from then on.
    pub(crate) effects: Vec<String>,
    pub(crate) events: Vec<Event>,
    config: Value,
    versions: u64,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(&json!({}))
    }

    /// Creates a host whose configuration has these members added or replaced.
    pub(crate) fn with(changes: &Value) -> Self {
        let config = configuration(changes);
        let handler = handler(&config, 1);
        Self {
            now: Instant {
                monotonic: Millis::from_secs(5),
                wall: 1_800_000_000_000,
            },
            provider: Provider::new(handler.config()),
            handler,
            browser: Browser::default(),
            heads: VecDeque::new(),
            upstream: Vec::new(),
            store: BTreeMap::new(),
            appends: false,
            lifetimes: BTreeMap::new(),
            before_write: None,
            repeats_swaps: false,
            description: None,
            body: None,
            client_has_left: false,
            failing: Vec::new(),
            store_time: true,
            wrong_replies: VecDeque::new(),
            latency: 0,
            upstream_latency: 0,
            sealed: Vec::new(),
            other_versions: Vec::new(),
            store_calls: Vec::new(),
            effects: Vec::new(),
            events: Vec::new(),
            config,
            versions: 0,
        }
    }

    /// Creates a host with a signed-in user.
    pub(crate) fn signed_in() -> Self {
        Self::signed_in_with(&json!({}))
    }

    pub(crate) fn signed_in_with(changes: &Value) -> Self {
        let mut host = Self::with(changes);
        host.sign_in();
        host
    }

    /// Replaces the isolate by a new isolate, whose configuration has these changes.
    pub(crate) fn restart(&mut self, changes: &Value) {
        merge(&mut self.config, changes);
        // Each isolate has its own random numbers.
        self.versions += 1;
        self.handler = handler(&self.config, 10 + self.versions);
        let flow = &self.handler.config().flow;
        self.provider.client_id.clone_from(&flow.client_id);
        self.provider
            .login_resource
            .clone_from(&flow.target.resource);
    }

    /// Replaces the isolate by one without an observer.
    pub(crate) fn restart_unobserved(&mut self) {
        let config = Config::parse(&self.config.to_string()).unwrap();
        self.handler = Handler::new(config, Box::new(kit::dice::Dice::new(1)));
    }

    /// Sends a request to another isolate. The browser does not store the cookies of the response.
    pub(crate) fn request_to_other_isolate(&mut self, request: Request) -> Answered {
        let other = handler(&self.config, 3);
        let own = core::mem::replace(&mut self.handler, other);
        let answered = self.request_elsewhere(request);
        self.handler = own;
        answered
    }

    /// Creates another isolate, for [`Host::swap_isolate`].
    pub(crate) fn new_isolate(&self) -> Handler {
        handler(&self.config, 3)
    }

    /// Sends the next requests to this isolate, and keeps the one that got them so far there.
    pub(crate) fn swap_isolate(&mut self, other: &mut Handler) {
        core::mem::swap(&mut self.handler, other);
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now.monotonic = self.now.monotonic + Millis::from_secs(seconds);
        self.now.wall += seconds * 1000;
    }

    /// Signs the browser's user in.
    #[track_caller]
    pub(crate) fn sign_in(&mut self) {
        let back = self.come_back("/auth/login");
        let answered = self.come_in(&back);
        assert_eq!(answered.status, 303, "{answered:?} {:?}", self.events);
    }

    /// Starts a login and lets the user sign in. Returns the URL to which the browser is sent back.
    #[track_caller]
    pub(crate) fn come_back(&mut self, path: &str) -> String {
        let url = self.begin_login(path);
        self.provider.sign_in(&url)
    }

    /// Starts a login. Returns the URL of the authorization request.
    #[track_caller]
    pub(crate) fn begin_login(&mut self, path: &str) -> String {
        let response = self.go(path, Source::App).own();
        location(&response).to_owned()
    }

    /// Navigates to a URL and signs in. The provider redirects the browser at once, so that a navigation that the browser
    /// began remains one. Returns the last response.
    #[track_caller]
    pub(crate) fn go_through_login(&mut self, path: &str, from: Source) -> OwnResponse {
        let mut response = self.go(path, from).own();
        while location(&response).starts_with("/auth/login") {
            let login = location(&response).to_owned();
            response = self.go(&login, from).own();
        }
        let back = self.provider.sign_in(location(&response));
        let response = self.go(&back, from).own();
        match &response.body {
            Some((_, page)) if page.contains("Signing you in") => {
                self.go(&[&back, "&again"].concat(), Source::App).own()
            }
            _ => response,
        }
    }

    /// Handles the redirect from the provider, including the handler's own intermediate page.
    #[track_caller]
    pub(crate) fn come_in(&mut self, back: &str) -> OwnResponse {
        let answered = self.arrive(back);
        if answered.status != 200 {
            return answered;
        }
        self.go(&[back, "&again"].concat(), Source::App).own()
    }

    /// Handles the redirect from the provider.
    pub(crate) fn arrive(&mut self, url: &str) -> OwnResponse {
        self.go(url, Source::CrossSite).own()
    }

    /// Navigates the user to a URL.
    pub(crate) fn go(&mut self, url: &str, from: Source) -> Answered {
        let request = self.navigation(url, from);
        self.request(request)
    }

    pub(crate) fn navigation(&self, url: &str, from: Source) -> Request {
        let site = match from {
            Source::App | Source::Click => "same-origin",
            Source::CrossSite => "cross-site",
            Source::Browser => "none",
        };
        Request {
            method: "GET".to_owned(),
            url: absolute(url),
            cookie: self.browser.header(from),
            site: Some(site.to_owned()),
            mode: Some("navigate".to_owned()),
            dest: Some("document".to_owned()),
            user: (from == Source::Click).then(|| "?1".to_owned()),
            accept: Some("text/html,application/xhtml+xml".to_owned()),
            description: self.description.clone(),
            ..Request::default()
        }
    }

    /// Sends a navigation of a browser without Fetch Metadata. The browser sends the cookies that `from` allows.
    pub(crate) fn go_without_metadata(&mut self, url: &str, from: Source) -> Answered {
        let request = Request {
            site: None,
            mode: None,
            dest: None,
            user: None,
            ..self.navigation(url, from)
        };
        self.request(request)
    }

    /// Sends a request of the app's script.
    pub(crate) fn call(&mut self, method: &str, url: &str) -> Answered {
        let request = self.by_script(method, url);
        self.request(request)
    }

    pub(crate) fn by_script(&self, method: &str, url: &str) -> Request {
        Request {
            method: method.to_owned(),
            url: absolute(url),
            cookie: self.browser.header(Source::App),
            origin: (method != "GET").then(|| APP.to_owned()),
            site: Some("same-origin".to_owned()),
            mode: Some("cors".to_owned()),
            dest: Some("empty".to_owned()),
            accept: Some("*/*".to_owned()),
            marker: Some("1".to_owned()),
            ..Request::default()
        }
    }

    /// Returns the session data that a page receives.
    pub(crate) fn session(&mut self) -> Value {
        let response = self.call("GET", "/auth/session").own();
        assert_eq!(response.status, 200, "{response:?}");
        json_of(&response)["session"].clone()
    }

    /// Sends a request, and stores the cookies of its response in the browser.
    pub(crate) fn request(&mut self, request: Request) -> Answered {
        let answered = self.request_elsewhere(request);
        for cookie in answered.cookies() {
            self.browser.set(cookie);
        }
        answered
    }

    /// Sends a request whose client disconnects during this effect. The handler may still finish the request.
    pub(crate) fn give_up_during(&mut self, effect: &str, request: Request) {
        let (id, mut step) = self.handler.begin(self.now, request);
        while let Step::Do(asked) = step {
            let is_it = format!("{asked:?}") == effect;
            let reply = self.carry_out(asked);
            if is_it && self.handler.abandon(id) {
                return;
            }
            step = self.handler.resume(self.now, id, reply);
        }
    }

    /// Runs a request until its first effect of this kind. Returns the request's ID and the effect, which is not carried
    /// out.
    #[track_caller]
    pub(crate) fn run_until(
        &mut self,
        request: Request,
        mut is_it: impl FnMut(&Effect) -> bool,
    ) -> (TaskId, Effect) {
        let (id, mut step) = self.handler.begin(self.now, request);
        loop {
            match step {
                Step::Do(effect) if is_it(&effect) => return (id, effect),
                Step::Do(effect) => {
                    let reply = self.carry_out(effect);
                    step = self.handler.resume(self.now, id, reply);
                }
                Step::Done(response) => panic!("no such effect: {response:?}"),
            }
        }
    }

    /// Carries out the effect at which a request stopped, and runs the request to its end.
    #[track_caller]
    pub(crate) fn finish(&mut self, (id, mut effect): (TaskId, Effect)) -> OwnResponse {
        loop {
            let reply = self.carry_out(effect);
            match self.handler.resume(self.now, id, reply) {
                Step::Do(next) => effect = next,
                Step::Done(Response::Own(response)) => return response,
                Step::Done(response) => panic!("not the handler's own: {response:?}"),
            }
        }
    }

    /// Sends a request. The browser does not store the cookies of the response.
    pub(crate) fn request_elsewhere(&mut self, request: Request) -> Answered {
        let (id, step) = self.handler.begin(self.now, request);
        self.run(id, step)
    }

    /// Carries out the effect at which a request stopped, and all further ones.
    pub(crate) fn go_on(&mut self, (id, effect): (TaskId, Effect)) -> Answered {
        self.run(id, Step::Do(effect))
    }

    fn run(&mut self, id: TaskId, mut step: Step) -> Answered {
        let mut head = Head::default();
        loop {
            while let Some(event) = self.handler.poll_event() {
                self.events.push(event);
            }
            match step {
                Step::Do(effect) => {
                    let reply = self.carry_out(effect);
                    if let Reply::Head(came) = &reply {
                        head.clone_from(came);
                    }
                    step = self.handler.resume(self.now, id, reply);
                }
                Step::Done(Response::Own(response)) => return Answered::Own(response),
                Step::Done(Response::Upstream {
                    cookies,
                    keeps_challenge,
                }) => {
                    return Answered::Passed {
                        head,
                        cookies,
                        keeps_challenge,
                    };
                }
                Step::Done(Response::Allowed(allowed)) => return Answered::Allowed(allowed),
                Step::Done(Response::NotHandled | Response::Managed(_)) => {
                    return Answered::NotOurs;
                }
            }
        }
    }

    pub(crate) fn carry_out(&mut self, effect: Effect) -> Reply {
        let name = format!("{effect:?}");
        self.effects.push(name.clone());
        match &effect {
            Effect::Read(keys) => self.store_calls.push(keys.len().to_string()),
            Effect::Swap { .. } => self.store_calls.push("w".to_owned()),
            Effect::Append { .. } if self.appends => self.store_calls.push("w".to_owned()),
            _ => {}
        }
        if self.failing.contains(&name.as_str()) {
            return Reply::Failed(String::new());
        }
        if let Some(place) = self.wrong_replies.iter().position(|(of, _)| *of == name) {
            return self.wrong_replies.remove(place).unwrap().1;
        }
        if name == "Swap"
            && let Some(happens) = self.before_write.take()
        {
            happens(self);
        }
        let ring = self.handler.config().keys.keys();
        match effect {
            Effect::Open { key, sealed, aad } => {
                let plain = crypto::open(ring[key].bytes(), &sealed, &aad);
                Reply::Opened(plain.map(Secret::new))
            }
            Effect::Seal { nonce, plain, aad } => {
                let mut plain = plain.expose().to_owned();
                if let Some((_, line)) = self
                    .other_versions
                    .iter()
                    .find(|(kind, _)| aad.contains(kind))
                {
                    let mut lines: Vec<&str> = plain.split('\n').collect();
                    assert_eq!(core::mem::replace(&mut lines[*line], "2"), "1", "{aad}");
                    plain = lines.join("\n");
                }
                let sealed = crypto::seal(ring[0].bytes(), nonce, &plain, &aad);
                self.sealed.push((aad, plain));
                Reply::Sealed(sealed)
            }
            Effect::Read(keys) => {
                let entries = keys.iter().map(|key| self.store.get(key).cloned());
                Reply::Entries {
                    entries: entries.collect(),
                    time: self.store_time.then_some(self.now.wall),
                }
            }
            Effect::Swap {
                key,
                version,
                value,
                lifetime,
            } => {
                if self.store.get(&key).map(|entry| &entry.version) != version.as_ref() {
                    return Reply::Swapped(None);
                }
                self.versions += 1;
                let version = self.versions.to_string();
                let entry = Entry {
                    value,
                    version: version.clone(),
                };
                self.lifetimes.insert(key.clone(), lifetime);
                self.store.insert(key, entry);
                Reply::Swapped(Some(version).filter(|_| !self.repeats_swaps))
            }
            // The other task finishes the flight at once.
            Effect::Append {
                key, line, most, ..
            } => {
                if self.appends {
                    self.append(key, &line, most);
                }
                Reply::Appended(self.appends)
            }
            Effect::Sleep {
                started: Some(id), ..
            } => {
                let mut step = self.handler.resume(self.now, id, Reply::Waited);
                while let Step::Do(effect) = step {
                    let reply = self.carry_out(effect);
                    step = self.handler.resume(self.now, id, reply);
                }
                Reply::Noticed
            }
            Effect::Wait { time, .. } | Effect::Sleep { time, .. } => {
                self.now.monotonic = self.now.monotonic + time;
                self.now.wall += time.0;
                Reply::Waited
            }
            Effect::Send {
                request,
                authorization,
                proof,
                ..
            } => {
                let [authorization, proof] =
                    [authorization, proof].map(|secret| secret.map(|s| s.expose().to_owned()));
                self.pass(self.latency);
                let now = self.now.wall;
                Reply::Sent(
                    self.provider
                        .reply(request, authorization, proof.as_deref(), now),
                )
            }
            Effect::Verify {
                jwk,
                signing_input,
                signature,
                ..
            } => Reply::Verified(crypto::verify(&jwk, &signing_input, &signature)),
            Effect::Sign {
                jwk, signing_input, ..
            } => match crypto::sign(jwk.expose(), signing_input.expose()) {
                Some(signature) => Reply::Signed(signature),
                None => Reply::Failed(String::new()),
            },
            Effect::GenerateKey => Reply::Key(Secret::new(Pair::generate().private_jwk(""))),
            Effect::Client => Reply::Connected(!self.client_has_left),
            Effect::Body(most) => {
                let body = self.body.take().filter(|body| body.len() <= most);
                Reply::Body(body.map(Secret::new))
            }
            Effect::Forward(forward) => self.forward(&forward),
            Effect::Await => panic!("this provider responds at once"),
        }
    }

    fn forward(&mut self, forward: &Forward) -> Reply {
        self.pass(self.upstream_latency);
        self.upstream.push(Sent {
            url: forward.url.clone(),
            authorization: forward.authorization.expose().to_owned(),
            proof: forward.proof.as_ref().map(|p| p.expose().to_owned()),
            others: forward.others.expose().trim().to_owned(),
            copies_body: forward.copies_body,
            is_upgrade: forward.is_upgrade,
            keep: forward.keep.clone(),
            remove: forward.remove.clone(),
            timeout: forward.timeout,
            request_id: forward.request_id.to_string(),
        });
        let ok = Head {
            status: 200,
            ..Head::default()
        };
        Reply::Head(self.heads.pop_front().unwrap_or(ok))
    }

    /// Posts a logout token to the back channel, as a provider does.
    pub(crate) fn post_logout_token(&mut self, token: &str) -> OwnResponse {
        self.post_back_channel(&format!("logout_token={token}"))
    }

    pub(crate) fn post_back_channel(&mut self, body: &str) -> OwnResponse {
        self.body = Some(body.to_owned());
        self.request_elsewhere(logout_request()).own()
    }

    /// Lets the app's server end sessions. Returns the result, or the error.
    pub(crate) fn end(&mut self, target: &Value, options: &Value) -> rules::Result<String> {
        self.manage(&json!({ "end": target, "options": options }))
    }

    /// Lets the app's server list the sessions of a user. Returns the list, or the error.
    pub(crate) fn sessions(&mut self, user: &str) -> rules::Result<Vec<Value>> {
        let listed = self.manage(&json!({ "sessions": { "user": user } }))?;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed["mayBeIncomplete"], true);
        Ok(listed["sessions"].as_array().unwrap().clone())
    }

    fn append(&mut self, key: String, line: &str, most: usize) {
        self.versions += 1;
        let before = self.store.get(&key).map(|entry| entry.value.as_str());
        let mut lines: Vec<&str> = before.into_iter().flat_map(|it| it.split('\n')).collect();
        lines.push(line);
        let value = lines[lines.len().saturating_sub(most)..].join("\n");
        let version = self.versions.to_string();
        self.store.insert(key, Entry { value, version });
    }

    /// Carries out a command of the app's server.
    pub(crate) fn manage(&mut self, command: &Value) -> rules::Result<String> {
        let (id, mut step) = self.handler.manage(self.now, &command.to_string());
        loop {
            match step {
                Step::Do(effect) => {
                    let reply = self.carry_out(effect);
                    step = self.handler.resume(self.now, id, reply);
                }
                Step::Done(Response::Managed(result)) => {
                    while let Some(event) = self.handler.poll_event() {
                        self.events.push(event);
                    }
                    return result;
                }
                Step::Done(response) => panic!("no result: {response:?}"),
            }
        }
    }

    /// Returns the codes of the faults that were reported to the operator since the last call of `faults`.
    pub(crate) fn faults(&mut self) -> Vec<Code> {
        let events = self.events.drain(..);
        let faults = events.filter_map(|event| match event {
            Event::Fault(Fault { error, .. }) => Some(error.code()),
            _ => None,
        });
        faults.collect()
    }

    /// Returns the messages of the faults that were reported since the last call of `faults`.
    pub(crate) fn fault_messages(&self) -> Vec<String> {
        let messages = self.events.iter().filter_map(|event| match event {
            Event::Fault(Fault { error, .. }) => Some(error.message().to_owned()),
            _ => None,
        });
        messages.collect()
    }

    /// Returns the ends of sessions that were reported: the reasons, and the users.
    pub(crate) fn ends(&self) -> Vec<(EndReason, String)> {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::Ended {
                reason, subject, ..
            } => Some((*reason, subject.clone())),
            _ => None,
        });
        ends.collect()
    }

    /// Returns the public ID of the session.
    pub(crate) fn session_id(&mut self) -> String {
        let response = self.call("GET", "/auth/session").own();
        json_of(&response)["publicId"].as_str().unwrap().to_owned()
    }

    /// Returns the number of times that this effect is in `effects`.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.effects.iter().filter(|known| *known == name).count()
    }
}

fn absolute(url: &str) -> String {
    if url.starts_with('/') {
        [APP, url].concat()
    } else {
        url.to_owned()
    }
}

fn handler(config: &Value, seed: u64) -> Handler {
    let config = Config::parse(&config.to_string()).unwrap();
    let mut handler = Handler::new(config, Box::new(kit::dice::Dice::new(seed)));
    handler.observe();
    handler
}

fn merge(config: &mut Value, changes: &Value) {
    let config = config.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        config.insert(name.clone(), value.clone());
    }
}

/// Returns the usual configuration with these members added or replaced.
pub(crate) fn configuration(changes: &Value) -> Value {
    let mut config = json!({
        "issuer": ISSUER,
        "client": { "id": "web", "auth": { "method": "client_secret_basic", "secret": "s3cret" } },
        "cookie": { "keys": [KEYS[0]] },
        "routes": [
            { "prefix": "/api/", "upstream": "https://api.example.com/v1/", "methods": ["GET", "POST", "DELETE"] },
            { "prefix": "/api/files/", "upstream": "https://files.example.com/", "navigate": true },
        ],
    });
    merge(&mut config, changes);
    config
}
