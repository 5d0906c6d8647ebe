//! The token handler as a client of `tests/both`: a host and its browser.

use edge::{Event, Fault};
use kit::flaws::Flaw;
use rules::codec::json::{Object, Value};

use crate::both::{Client, Failure};
use crate::host::{Answered, Host};

pub(crate) struct Machine {
    pub(crate) host: Host,
    /// The reason in a response that told the session's end.
    reason: Option<String>,
}

impl Machine {
    /// Returns the errors that the operator was told.
    fn faults(&self) -> impl DoubleEndedIterator<Item = &rules::Error> {
        let events = self.host.events.iter();
        events.filter_map(|event| match event {
            Event::Fault(Fault { error, .. }) => Some(error),
            _ => None,
        })
    }

    /// Sends a request of a page. Learns from the response if it tells the session's end.
    fn ask(&mut self, url: &str) -> (Answered, Option<Object>) {
        let answered = self.host.call("GET", url);
        let Answered::Own(response) = &answered else {
            return (answered, None);
        };
        let (_, text) = response.body.as_ref().unwrap();
        let body = Value::parse(text).unwrap().as_object().unwrap().clone();
        let error = body.get("error").and_then(Value::as_object);
        let told = error.unwrap_or(&body).str("reason");
        self.reason = told.map(str::to_owned).or(self.reason.take());
        (answered, Some(body))
    }
}

impl Client for Machine {
    const STORAGES: [&'static str; 2] = [
        r#"{"session":{"storage":"sealed-in-cookie"}}"#,
        r#"{"session":{"storage":"in-store"}}"#,
    ];
    const AFTER_EXPIRY: &'static str = "session_ended";

    fn with(config: &str) -> Self {
        let host = Host::with(&serde_json::from_str(config).unwrap());
        Self { host, reason: None }
    }

    fn sign_in(&mut self) -> Result<(), Failure> {
        let back = self.host.come_back("/auth/login");
        if self.host.come_in(&back).status == 303 {
            return Ok(());
        }
        let error = self.faults().next_back().unwrap();
        Err(Failure {
            code: error.code().as_str().to_owned(),
            message: error.message().to_owned(),
        })
    }

    fn call(&mut self) -> Result<u16, String> {
        match self.ask("/api/orders").0 {
            Answered::Passed { head, .. } => Ok(head.status),
            answered => Err(answered.code()),
        }
    }

    fn session(&mut self) -> Option<Object> {
        let (_, body) = self.ask("/auth/session");
        body.unwrap().get("session")?.as_object().cloned()
    }

    fn reason(&mut self) -> Option<String> {
        if self.reason.is_none() {
            self.session();
        }
        self.reason.clone()
    }

    fn warnings(&self) -> Vec<String> {
        let codes = self.faults().map(|error| error.code().as_str().to_owned());
        codes.collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.host.pass(seconds);
    }

    fn lifetime(&self) -> u64 {
        self.host.provider.expires_in
    }

    fn flaw_login(&mut self, flaw: Flaw) {
        self.host.provider.flaws.push_back(flaw);
    }

    fn flaw_refresh(&mut self, flaw: Flaw) {
        self.host.provider.flaws.push_back(flaw);
    }

    fn flaw_refreshes(&mut self, flaw: Flaw) {
        self.host.provider.flaws.extend([flaw; 40]);
    }

    fn state(&mut self, claim: &'static str, value: Value) {
        let mut text = String::new();
        value.write(&mut text);
        self.host.provider.claims = format!(r#","{claim}":{text}"#);
        self.host.provider.renews_id_tokens = true;
    }

    fn refresh_tokens_sent(&self) -> Vec<String> {
        let requests = self.host.provider.sent_to("/token").into_iter();
        let tokens = requests.filter_map(|request| request.params.get("refresh_token").cloned());
        tokens.collect()
    }

    fn is_revoked(&self) -> bool {
        self.host.provider.sent_to("/revoke").len() == 1
    }

    fn seen_by_api(&self) -> Vec<String> {
        let seen = self.host.upstream.iter();
        seen.map(|request| request.authorization.clone()).collect()
    }
}
