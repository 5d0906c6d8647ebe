//! The token handler as a client of `tests/both`: a host and its browser.

use std::collections::BTreeMap;

use edge::Event;
use kit::world::Endpoint;
use kit::world::provider::Provider;
use rules::codec::json::{Object, Value};
use serde_json::json;

use crate::both::{Arrived, Client, Failure, object};
use crate::browser::Source;
use crate::host::{Answered, COOKIE, Host, location};
use crate::provider::ISSUER;

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
            Event::Fault(edge::Fault { error, .. }) => Some(error),
            _ => None,
        })
    }

    /// Returns the last error that the operator was told.
    fn failure(&self) -> Failure {
        let error = self.faults().next_back().unwrap();
        Failure {
            code: error.code().as_str().to_owned(),
            message: error.message().to_owned(),
        }
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
    const IGNORED_ID_TOKEN: &'static [&'static str] = &["id_token_invalid"];

    fn with(config: &str) -> Self {
        let config: serde_json::Value = serde_json::from_str(config).unwrap();
        let mut host = Host::with(&config);
        "alice".clone_into(&mut host.provider.subject);
        Self { host, reason: None }
    }

    fn provider(&mut self) -> &mut Provider {
        &mut self.host.provider
    }

    fn begin_login(&mut self, options: &str) -> Result<String, Failure> {
        let mut url = "/auth/login?".to_owned();
        for (name, value) in object(&["{", options, "}"].concat()).iter() {
            let name = match name {
                "maxAge" => "max_age",
                "acrValues" => "acr_values",
                name => name,
            };
            url.push_str(&[name, "="].concat());
            match value {
                Value::String(text) => url.push_str(&text.replace(' ', "%20")),
                other => other.write(&mut url),
            }
            url.push('&');
        }
        let begun = self.host.go(&url, Source::App).own();
        if begun.status == 303 {
            return Ok(location(&begun).to_owned());
        }
        Err(self.failure())
    }

    fn parameters(&self, url: &str) -> BTreeMap<String, String> {
        self.host.provider.parameters(url)
    }

    fn arrive(&mut self, response: &str) -> Result<Arrived, Failure> {
        let answered = self.host.come_in(response);
        if answered.status != 303 {
            return Err(self.failure());
        }
        let to = location(&answered).to_owned();
        match to.starts_with(ISSUER) {
            true => Ok(Arrived::Again(to)),
            false => Ok(Arrived::SignedIn(to)),
        }
    }

    fn log_out(&mut self) {
        self.host.call("POST", "/auth/logout");
    }

    fn call(&mut self) -> Result<u16, String> {
        match self.ask("/api/orders").0 {
            Answered::Passed { head, .. } => Ok(head.status),
            answered => Err(answered.code()),
        }
    }

    fn session(&mut self) -> Option<Object> {
        let (_, body) = self.ask("/auth/session");
        let session = body.unwrap().get("session").unwrap().as_object().cloned();
        assert_eq!(session.is_some(), self.host.browser.count(COOKIE) == 1);
        session
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

    fn now(&self) -> u64 {
        self.host.now.wall
    }

    fn restart(&mut self) {
        self.host.restart(&json!({}));
    }

    fn reconfigure(&mut self, config: &str) {
        let config = serde_json::from_str(config).unwrap();
        self.host.restart(&config);
    }

    fn count(&self, endpoint: Endpoint) -> usize {
        self.host.provider.of(endpoint).count()
    }

    fn refresh_tokens_sent(&self) -> Vec<String> {
        let requests = self.host.provider.of(Endpoint::Refresh);
        requests
            .map(|request| request.params["refresh_token"].clone())
            .collect()
    }

    fn seen_by_api(&self) -> Vec<String> {
        let seen = self.host.upstream.iter();
        seen.map(|request| request.authorization.clone()).collect()
    }
}
