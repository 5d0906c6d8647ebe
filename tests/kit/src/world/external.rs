//! A world whose pages and APIs are outside: the page code of the package, and functions of the app's tests.
//!
//! The vault's output for pages and APIs is collected as [`Outgoing`]. Calls wait until the API outside responds. All
//! other operations complete at once.

use std::time::Duration;

use super::jobs::Task;
use super::page::Request;
use super::provider::{Endpoint, Fault, Provider};
use super::{Kind, PageResponse, Settings, World, dpop, sockets};
use rules::base::clock::{Millis, UnixMillis};
use rules::codec::json::{Object, Value};
use rules::codec::url::Url;
use rules::egress::websocket::Handshake;
use rules::{Result, Secret};
use vault::config::{Config, CustomLogin};
use vault::{ApiRequest, Body, CallId, Input, Output, PortId, RequestId, ResponseHead};

/// Output for pages and APIs outside.
#[derive(Debug)]
pub enum Outgoing {
    Post {
        port: PortId,
        text: String,
    },
    Close(PortId),
    Call {
        call: CallId,
        page: Request,
        request: Box<ApiRequest>,
        /// The DPoP proof, if the token is bound to a key.
        proof: Option<String>,
        /// True if the provider considers the access token valid.
        is_accepted: bool,
    },
    Deliver {
        call: CallId,
        text: String,
    },
    Drop(CallId),
    OpenSocket {
        call: CallId,
        page: Request,
        handshake: Box<Handshake>,
        /// False if the provider considers the access token in the handshake invalid.
        is_accepted: bool,
    },
    /// A message of the vault, before all messages of the page.
    SendFirst {
        call: CallId,
        text: String,
    },
    CloseSocket {
        call: CallId,
        code: u16,
        reason: String,
    },
    Search(Vec<Secret>),
}

/// The pages and APIs outside of a world.
#[derive(Default)]
pub(super) struct Outside {
    outgoing: Vec<Outgoing>,
    /// Checks the proofs in calls.
    checker: dpop::Checker,
}

/// The provider's endpoints that a browser's vault uses.
const ENDPOINTS: [Endpoint; 10] = [
    Endpoint::Discovery,
    Endpoint::Probe,
    Endpoint::Keys,
    Endpoint::Exchange,
    Endpoint::Refresh,
    Endpoint::Revoke,
    Endpoint::Profile,
    Endpoint::Push,
    Endpoint::AskDevice,
    Endpoint::PollDevice,
];

impl World {
    /// Creates a world for this configuration. `base` is the worker's address.
    ///
    /// # Errors
    /// `config_invalid`.
    pub fn external(json: &str, base: &str, wall: UnixMillis) -> Result<Self> {
        let config = Config::parse(json, base)?;
        let mut provider = Provider::new();
        provider.issuer.clone_from(&config.flow.issuer);
        provider.client_id.clone_from(&config.flow.client_id);
        config
            .redirect_uri
            .href()
            .clone_into(&mut provider.redirect_uri);
        provider.takes_any_redirect_uri = config.redirect_uri.scheme() == "http";
        provider.name = None;
        provider.adapt_to(&config.flow);
        provider.knows_devices = true;
        let checkers = resources(json, base);
        provider.resources = checkers
            .iter()
            .filter_map(|(_, checker)| checker.resource)
            .collect();
        let settings = Settings::of(json, base);
        let mut world = Self::start(settings, provider, 1);
        world.checkers = checkers.into_iter().collect();
        (world.now.wall, world.true_time) = (wall, wall);
        world.hold(&[Kind::Call, Kind::ResponseBody, Kind::Socket]);
        world.outside = Some(Outside::default());
        // The oracle's last checks wait for responses that an app's test need not wait for.
        world.has_ended = true;
        Ok(world)
    }

    /// Takes the output that was collected since the last call.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        let outside = self.outside.as_mut();
        outside
            .map(|outside| std::mem::take(&mut outside.outgoing))
            .unwrap_or_default()
    }

    pub(super) fn note_outgoing(&mut self, output: &Output) {
        let Some(outside) = &mut self.outside else {
            return;
        };
        let outgoing = match output {
            Output::Post { port, text } => Outgoing::Post {
                port: *port,
                text: text.clone(),
            },
            Output::Close { port } => Outgoing::Close(*port),
            Output::Deliver { call, text } => Outgoing::Deliver {
                call: *call,
                text: text.clone(),
            },
            Output::Drop { call } => Outgoing::Drop(*call),
            Output::OpenSocket { call, handshake } => {
                let sent = [handshake.url.expose(), handshake.protocols.expose()].concat();
                let token = sockets::token_in(&sent);
                Outgoing::OpenSocket {
                    call: *call,
                    page: self.calls.requests[call],
                    handshake: handshake.clone(),
                    is_accepted: token
                        .is_none_or(|token| self.provider.accepts(token, self.true_time)),
                }
            }
            Output::Search { tokens } => Outgoing::Search(tokens.clone()),
            Output::SendFirst { call, text } => Outgoing::SendFirst {
                call: *call,
                text: text.expose().to_owned(),
            },
            Output::CloseSocket { call, code, reason } => Outgoing::CloseSocket {
                call: *call,
                code: *code,
                reason: reason.to_string(),
            },
            _ => return,
        };
        outside.outgoing.push(outgoing);
    }

    /// Adds a call to the output if the APIs are outside of this world.
    pub(super) fn record_call(
        &mut self,
        call: CallId,
        page: Request,
        request: &ApiRequest,
        proof: Option<&String>,
    ) {
        let Some(outside) = &mut self.outside else {
            return;
        };
        let authorization = request.authorization.expose();
        let (_, token) = authorization.split_once(' ').unwrap_or_default();
        let key = self.provider.key_of(token);
        let target = (request.allowed.method(), request.allowed.url());
        let is_proven = proof.map_or(key.is_none(), |proof| {
            let time = self.true_time;
            let verdict = outside
                .checker
                .check(Some(proof), target, Some(token), time);
            verdict.is_ok_and(|proof| key == Some(&proof.jkt))
        });
        outside.outgoing.push(Outgoing::Call {
            call,
            page,
            request: Box::new(request.clone()),
            proof: proof.cloned(),
            is_accepted: is_proven && self.provider.accepts(token, self.true_time),
        });
    }

    /// Delivers a message of a page outside. Returns the number of the message.
    pub fn page_says(&mut self, port: PortId, text: &str, body: Body) -> CallId {
        let message = Value::parse(text).ok();
        let message = message.as_ref().and_then(Value::as_object);
        let t = message
            .and_then(|message| message.str("t"))
            .unwrap_or_default();
        if t == "bye" {
            self.leave(port);
            return self.calls.last;
        }
        if let Some(id) = message.and_then(|message| message.get("id")?.as_u64()) {
            let request = Request {
                port,
                id: RequestId(id),
            };
            if matches!(t, "abort" | "cancel") {
                self.ledger.waive(request);
            } else {
                self.ledger.asked(request);
                let user = self.pages.told_user.get(&port).cloned();
                self.calls.asked_as.insert(request, user);
                let is_true = |name| message?.get(name)?.as_bool().filter(|is_true| *is_true);
                let is_activity =
                    t == "fetch" && is_true("background").or(is_true("media")).is_none();
                self.calls.touching = is_activity.then_some(request);
                self.calls.requests.insert(self.calls.last.next(), request);
            }
        }
        let call = self.say_with_body(port, text, body);
        self.answer_all();
        call
    }

    /// Delivers the API's response to a call, or its failure.
    pub fn api_responds(&mut self, call: CallId, head: Option<ResponseHead>) {
        self.end_of_call(call, |_| match head {
            Some(head) => Input::CallResponded { call, head },
            None => Input::CallFailed { call },
        });
    }

    /// Reports that the response to a call contains an access token.
    pub fn api_reflects(&mut self, call: CallId) {
        self.end_of_call(call, |_| Input::CallReflected { call });
    }

    /// Reports that the response's body was delivered.
    pub fn body_ends(&mut self, call: CallId) {
        self.end_of_call(call, |_| Input::CallClosed { call });
    }

    /// Reports that a socket is open with this sub-protocol, or that its handshake failed.
    pub fn socket_responds(&mut self, call: CallId, protocol: Option<String>) {
        let Some(request) = self.calls.requests.get(&call).copied() else {
            return;
        };
        if protocol.is_none() {
            self.ledger.answered(request);
        }
        self.end_of_call(call, |task| match (protocol, task) {
            (Some(protocol), Task::Socket(call)) => Input::SocketOpened { call, protocol },
            _ => Input::CallClosed { call },
        });
    }

    /// Reports that an open socket is closed.
    pub fn socket_ends(&mut self, call: CallId) {
        if self.sockets.open.remove(&call) {
            self.workers.turn = 0;
            self.input(Input::CallClosed { call });
            self.answer_all();
        }
    }

    /// Removes the pending operation of a call, if there is one, and reports its result.
    fn end_of_call(&mut self, call: CallId, input: impl FnOnce(Task) -> Input<'static>) {
        let is_it = |task: &Task| matches!(task, Task::Call(c, ..) | Task::ResponseBody(c) | Task::Socket(c) if *c == call);
        if let Some(i) = self.jobs.pending.iter().position(|job| is_it(&job.task)) {
            let job = self.jobs.pending.remove(i);
            self.workers.turn = job.vault;
            self.input(input(job.task));
            self.answer_all();
        }
    }

    /// Lets time pass until the next timer of the vault, which fires, but at most for `limit`. Returns the time that
    /// has passed.
    pub fn step(&mut self, limit: Duration) -> Duration {
        let limit = Millis::from(limit);
        let due = self
            .tick_due(0)
            .map(|due| due.saturating_sub(self.now.monotonic));
        let span = due.filter(|due| *due < limit).unwrap_or(limit);
        self.pass(span);
        self.tick(true);
        span.into()
    }

    /// Signs a user in, as another page of the app would do.
    ///
    /// # Errors
    /// The code of the error that the other page gets.
    pub fn sign_in_elsewhere(&mut self) -> std::result::Result<(), String> {
        let port = self.open();
        let is_custom = self.config.parsed.login.custom != CustomLogin::Off;
        let request = self.login(port, if is_custom { "custom" } else { "redirect" });
        self.answer_all();
        let done = self.finish_elsewhere(port, request);
        self.leave(port);
        self.answer_all();
        done
    }

    /// Signs the user out, as another page of the app would do.
    pub fn sign_out_elsewhere(&mut self) {
        let port = self.open();
        self.logout(port);
        self.answer_all();
        self.leave(port);
        self.answer_all();
    }

    fn finish_elsewhere(
        &mut self,
        port: PortId,
        login: Request,
    ) -> std::result::Result<(), String> {
        let code = |response: Option<&PageResponse>| match response {
            Some(PageResponse::Error { code, .. }) => code.clone(),
            other => format!("{other:?}"),
        };
        let Some(PageResponse::Navigate(url)) = self.response(login) else {
            return Err(code(self.response(login)));
        };
        let url = url.clone();
        let back = self.provider.sign_in(&url);
        let callback = self.callback(port, &back);
        self.answer_all();
        match self.response(callback) {
            Some(PageResponse::Settled { .. }) => Ok(()),
            other => Err(code(other)),
        }
    }

    /// Sets a fault for all requests to the provider, or removes it.
    pub fn provider_fails(&mut self, fault: Option<Fault>) {
        self.provider.repair();
        for endpoint in ENDPOINTS {
            if let Some(fault) = fault {
                self.provider.outage(endpoint, fault);
            }
        }
    }
}

/// Returns the URL of each rule that has its own access tokens, with the name of its resource. The strings live as long
/// as the process.
fn resources(json: &str, base: &str) -> Vec<(&'static str, dpop::Checker)> {
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    let of_rule = |rule: &Value| {
        let rule = rule.as_object()?;
        let resource = rule.str("resource").or(rule.str("audience"))?;
        let url = Url::parse_with_base(rule.str("url")?, &Url::parse(base)?)?;
        let mut checker = dpop::Checker::default();
        checker.resource = Some(leak(resource));
        Some((leak(url.href()), checker))
    };
    let config = Value::parse(json).ok();
    let rules = config
        .as_ref()
        .and_then(|config| config.as_object()?.get("apis")?.as_array());
    rules
        .unwrap_or_default()
        .iter()
        .filter_map(of_rule)
        .collect()
}

impl Provider {
    /// Sets the user who signs in from now on, by the claims of the user's ID token.
    pub fn set_user(&mut self, claims: &Object) {
        claims
            .str("sub")
            .unwrap_or("alice")
            .clone_into(&mut self.subject);
        let mut others = Object::new();
        for (name, value) in claims.iter().filter(|(name, _)| *name != "sub") {
            others.push(name, value.clone());
        }
        self.claims = others;
    }

    /// Returns the URL with which the provider refuses an authorization request, with an error code of RFC 6749 4.1.2.1.
    pub fn deny(&self, url: &str, error: &str) -> String {
        let (_, query) = url.split_once('?').unwrap_or_default();
        let mut params = super::params(query);
        let pushed = params
            .get("request_uri")
            .and_then(|reference| self.pushed.get(reference));
        if let Some(pushed) = pushed {
            params = super::params(pushed);
        }
        self.response_url(&[("error", error), ("state", &params["state"])])
    }

    /// Ends all sessions, as an administrator of the provider may.
    pub fn revoke_all(&mut self) {
        for family in 0..self.family_count() {
            self.revoke_family(family);
        }
    }
}
