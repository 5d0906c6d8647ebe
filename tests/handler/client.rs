//! The token handler as a client of `tests/both`: a host and its browser.

use std::collections::BTreeMap;

use edge::Event;
use kit::world::{Endpoint, Fault};
use rules::base::clock::Millis;
use rules::base::http::HttpReply;
use rules::codec::json::{Object, Value};
use serde_json::json;

use crate::both::{Arrived, Client, Failure, object};
use crate::browser::Source;
use crate::host::{Answered, COOKIE, Host, location};
use crate::provider::{self, ISSUER};

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

    /// Returns the path of an endpoint. Codes and refresh tokens go to the same one.
    fn path_of(&self, endpoint: Endpoint) -> &'static str {
        match endpoint {
            Endpoint::Discovery => "/.well-known/openid-configuration",
            Endpoint::Keys => "/jwks",
            Endpoint::Profile if self.host.provider.plain.is_some() => "/profile",
            Endpoint::Profile => "/userinfo",
            Endpoint::Exchange | Endpoint::Refresh => "/token",
            Endpoint::Revoke => "/revoke",
            other => panic!("not simulated: {other:?}"),
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
        let provider = &mut host.provider;
        provider.subject = "alice".to_owned();
        if config["userInfo"] == true {
            provider.metadata = format!(r#","userinfo_endpoint":"{ISSUER}/userinfo""#);
        }
        if !config["identity"].is_null() {
            provider.plain = Some(json!({ "user_id": "alice" }));
        }
        Self { host, reason: None }
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

    fn authorize(&mut self, url: &str) -> String {
        self.host.provider.authorize(url)
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

    fn lifetime(&self) -> u64 {
        self.host.provider.expires_in
    }

    fn now(&self) -> u64 {
        self.host.now.wall
    }

    fn restart(&mut self) {
        self.host.restart(&json!({}));
    }

    fn fault(&mut self, endpoint: Endpoint, fault: Fault) {
        let path = self.path_of(endpoint);
        let provider = &mut self.host.provider;
        let reply = match fault {
            Fault::Altered(name, text) => return provider.flaws.push_back((name, text)),
            Fault::AsStatus(201) => return provider.flaws.push_back(("status", "201")),
            Fault::LostBefore => None,
            // No rule of a browser hides a response from the handler.
            Fault::Opaque => Some(provider::json(502, "")),
            Fault::Status(status) => Some(provider::json(status, "")),
            Fault::Response(status, body) => Some(provider::json(status, body)),
            Fault::Busy(status, seconds) => Some(HttpReply {
                retry_after: seconds.map(Millis::from_secs),
                ..provider::json(status, "")
            }),
            Fault::Html => Some(HttpReply {
                content_type: Some("text/html".to_owned()),
                ..provider::json(200, "<html>")
            }),
            other => panic!("not simulated: {other:?}"),
        };
        provider.replies.push_back((path, reply));
    }

    fn outage(&mut self, endpoint: Endpoint, fault: Fault) {
        for _ in 0..40 {
            self.fault(endpoint, fault);
        }
    }

    fn count(&self, endpoint: Endpoint) -> usize {
        self.host.provider.sent_to(self.path_of(endpoint)).len()
    }

    fn state(&mut self, claim: &'static str, value: Value) {
        let mut text = String::new();
        value.write(&mut text);
        self.host.provider.claims = format!(r#","{claim}":{text}"#);
        self.host.provider.renews_id_tokens = true;
    }

    fn state_nothing(&mut self) {
        self.host.provider.claims.clear();
    }

    fn token_members(&mut self, members: &str) {
        self.host.provider.members = serde_json::from_str(members).unwrap();
    }

    fn profile(&mut self, members: &str) {
        self.host.provider.profile = serde_json::from_str(members).unwrap();
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
