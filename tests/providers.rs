//! Checks the configurations in docs/providers against `tests/providers/*.json`: metadata and error responses. These
//! files are written from the documentation and source code of each provider, and are not copies of a live server's
//! responses, except for canaille's.
//!
//! Each page's configuration is parsed by the parser of the vault or of the token handler. A login starts with the
//! recorded metadata. Recorded refusals of a refresh are classified.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::dice::Dice;
use kit::reply::json as reply;
use kit::world::provider::{CLIENT_ID, ISSUER, form_of};
use kit::world::{API, Endpoint, Fault, World, params};
use rules::base::clock::{Instant, Millis};
use rules::base::http::Outcome;
use rules::codec::form;
use rules::config::Flow;
use rules::oauth::metadata::Metadata;
use rules::oauth::refresh_policy::{RefreshOutcome, classify};
use rules::oauth::token_endpoint::Scheme;
use rules::session::provider_errors;
use serde_json::{Map, Value, json};
use vault::config::Config;
use vault::{Body, CallId, Input, Output, PortId, Vault};

const WORKER: &str = "https://app.example.com/auth.worker.js";

/// The longest page, in lines.
const MAX_LINES: usize = 70;

/// The sections of each page, in order.
const SECTIONS: [&str; 3] = ["Register the app", "What to know", "Tested"];

/// The providers whose pages rely on recorded metadata.
const RECORDED: &[&str] = &[
    "auth0",
    "authentik",
    "cognito",
    "entra-id",
    "github",
    "google",
    "keycloak",
    "logto",
    "okta",
    "spring-authorization-server",
    "zitadel",
];

/// The providers with recorded metadata that an outside review tested for real.
const REVIEWED: [&str; 2] = ["keycloak", "spring-authorization-server"];

/// Returns the place of a file of the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).expect(path)
}

/// Reads a literal of JavaScript, as the pages write it.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start();
        while let Some(comment) = self.0.strip_prefix("//") {
            self.0 = comment.split_once('\n').unwrap().1.trim_start();
        }
    }

    fn accepts(&mut self, token: &str) -> bool {
        self.skip_blanks();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    #[track_caller]
    fn expect(&mut self, token: &str) {
        assert!(self.accepts(token), "no {token} at {:.60}", self.0);
    }

    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.0.find(|c| !is_part(c)).unwrap();
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn value(&mut self) -> Value {
        if self.accepts("{") {
            let mut members = Map::new();
            while !self.accepts("}") {
                let name = self.word();
                self.expect(":");
                members.insert(name.to_owned(), self.value());
                self.accepts(",");
            }
            return members.into();
        }
        if self.accepts("[") {
            let mut items = Vec::new();
            while !self.accepts("]") {
                items.push(self.value());
                self.accepts(",");
            }
            return items.into();
        }
        if self.accepts("'") {
            let (text, rest) = self.0.split_once('\'').unwrap();
            self.0 = rest;
            return text.into();
        }
        match self.word() {
            "true" => true.into(),
            "false" => false.into(),
            "env" => {
                self.expect("=>");
                self.expect("env.");
                secret(self.word()).into()
            }
            "inIsolate" => {
                self.expect("()");
                Value::Null
            }
            other => panic!("no literal: {other:?} before {:.60}", self.0),
        }
    }
}

/// Returns the value of a variable of the handler's environment.
fn secret(name: &str) -> &'static str {
    match name {
        "CLIENT_SECRET" => "a-secret",
        "COOKIE_KEYS" => "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        other => panic!("no variable {other}"),
    }
}

/// A response of a token endpoint that refuses a refresh.
struct Refusal {
    status: u16,
    body: String,
    /// The reason for which the session ends. `None`: the session does not end.
    reason: Option<String>,
}

/// A page of docs/providers.
struct Guide {
    name: String,
    page: String,
    is_handler: bool,
    config: Value,
}

impl Guide {
    fn new(name: &str, page: &str) -> Self {
        let (_, code) = page.split_once("```ts\n").expect(name);
        let (code, _) = code.split_once("\n```").unwrap();
        let mut literal = Literal(code);
        let function = literal.word();
        literal.expect("(");
        let mut config = literal.value();
        literal.expect(")");
        literal.skip_blanks();
        assert_eq!(literal.0, "", "{name}");
        let is_handler = match function {
            "vault" => false,
            "createTokenHandler" => true,
            other => panic!("{name} calls {other}"),
        };
        // The host takes the coordinator.
        let coordinator = config.as_object_mut().unwrap().remove("coordinator");
        assert_eq!(coordinator.is_some(), is_handler, "{name}");
        Self {
            name: name.to_owned(),
            page: page.to_owned(),
            is_handler,
            config,
        }
    }

    fn named(name: &str) -> Self {
        Self::new(name, &read(&format!("docs/providers/{name}.md")))
    }

    /// Parses the configuration as the product does. Returns the part that vault and handler share.
    fn parse(&self) -> rules::Result<Flow> {
        let text = self.config.to_string();
        if self.is_handler {
            edge::Config::parse(&text).map(|config| config.flow)
        } else {
            Config::parse(&text, WORKER).map(|config| config.flow)
        }
    }

    fn facts(&self) -> Option<Value> {
        let path = format!("tests/providers/{}.json", self.name);
        let text = fs::read_to_string(at(&path)).ok()?;
        Some(serde_json::from_str(&text).expect(&self.name))
    }

    /// Returns a world with this configuration and a signed-in user. The world's own provider replaces the provider of
    /// the configuration.
    fn signed_in(&self) -> (World, PortId) {
        let mut config = self.config.clone();
        let members = config.as_object_mut().unwrap();
        members.insert("issuer".to_owned(), ISSUER.into());
        members.insert("clientId".to_owned(), CLIENT_ID.into());
        members.insert("reasons".to_owned(), true.into());
        members.remove("idTokenSignedResponseAlg");
        if let Some(metadata) = members.get_mut("metadata") {
            metadata.as_object_mut().unwrap().remove("token_endpoint");
        }
        let mut world = World::with(&config.to_string());
        if let Some(resource) = self.config["apis"][0]["resource"].as_str() {
            let resource: &'static str = resource.to_owned().leak();
            world.provider.resources = vec![resource];
            world.checkers.entry(API).or_default().resource = Some(resource);
        }
        let page = world.open();
        world.sign_in(page);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{}", self.name);
        (world, page)
    }

    /// Returns the recorded refusals of a refresh.
    fn refusals(&self) -> Vec<Refusal> {
        let facts = self.facts().unwrap_or_default();
        let read = |case: &Value| Refusal {
            status: case["status"].as_u64().unwrap().try_into().unwrap(),
            body: match &case["body"] {
                Value::String(body) => body.clone(),
                body => body.to_string(),
            },
            reason: case["reason"].as_str().map(str::to_owned),
        };
        list(&facts["refresh_refused"]).iter().map(read).collect()
    }
}

/// Returns all pages except the overview.
fn guides() -> Vec<Guide> {
    let folder = at("docs/providers");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    names.sort();
    names.iter().map(|name| Guide::named(name)).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect(name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn guides_have_valid_configurations() {
    let guides = guides();
    assert!(guides.len() >= 16, "{}", guides.len());
    for guide in guides {
        if let Err(error) = guide.parse() {
            panic!("{}: {error}", guide.name);
        }
    }
}

#[test]
fn control_mistakes_in_guides_are_found() {
    let page = read("docs/providers/auth0.md");
    for (right, wrong) in [
        ("redirectUri:", "redirectURI:"),
        ("issuer: 'https:", "issuer: 'http:"),
        ("scope: 'openid ", "scope: '"),
        ("/v1/'", "/v1'"),
    ] {
        assert!(page.contains(right));
        let guide = Guide::new("auth0", &page.replacen(right, wrong, 1));
        assert!(guide.parse().is_err(), "{wrong}");
    }
}

#[test]
fn guides_are_short_and_complete() {
    let overview = read("docs/providers/README.md");
    for guide in guides() {
        let Guide { name, page, .. } = &guide;
        assert!(page.lines().count() < MAX_LINES, "{name}");
        let sections: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(sections, SECTIONS, "{name}");
        let code = page.find("```ts").unwrap();
        assert!(code < page.find("## ").unwrap(), "{name}");
        let link = format!("]({name}.md)");
        assert!(overview.contains(&link), "{name}");
    }
}

#[test]
fn guides_state_what_was_tested() {
    for guide in guides() {
        let (_, tested) = guide.page.split_once("## Tested").unwrap();
        let is_recorded = RECORDED.contains(&&*guide.name);
        let is_reviewed = REVIEWED.contains(&&*guide.name);
        let is_open = tested.contains("Not tested with a real") && tested.contains("Sources");
        assert_eq!(is_open, is_recorded && !is_reviewed, "{}", guide.name);
        assert_eq!(
            guide
                .facts()
                .is_some_and(|facts| facts["metadata"].is_object()),
            is_recorded,
            "{}",
            guide.name
        );
        let is_real = tested.contains("Tested for real")
            || tested.contains("for real in November")
            || tested.contains("`cargo xtask servers ");
        assert_eq!(is_real, !is_recorded || is_reviewed, "{}", guide.name);
    }
}

#[test]
fn every_record_belongs_to_a_guide() {
    let names: Vec<String> = guides().into_iter().map(|guide| guide.name).collect();
    let folder = at("tests/providers");
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = file.strip_suffix(".json").unwrap().to_owned();
        assert!(names.contains(&name), "{name}");
        let facts = Guide::named(&name).facts().unwrap();
        assert!(!list(&facts["sources"]).is_empty(), "{name}");
    }
}

/// The first part of a login with a provider that responds with recorded metadata.
#[derive(Default)]
struct Login {
    /// The URLs that the vault requested.
    requested: Vec<String>,
    /// The pushed parameters, if the vault pushed the request.
    pushed: Option<BTreeMap<String, String>>,
    /// The URL to which the page navigates, or the error's code.
    end: Option<Result<String, String>>,
}

impl Login {
    fn start(config: &Value, discovery: &str, metadata: &Value) -> Self {
        let config = Config::parse(&config.to_string(), WORKER).unwrap();
        let mut vault = Vault::new(config, Box::new(Dice::new(1)));
        let now = Instant {
            monotonic: Millis::from_secs(5),
            wall: 1_800_000_000_000,
        };
        let port = PortId(1);
        for (call, text) in [
            (CallId(1), r#"{"t":"hello","version":1}"#),
            (CallId(2), r#"{"t":"login","id":1,"mode":"redirect"}"#),
        ] {
            let body = Body::Replayable;
            vault.handle(
                now,
                Input::Message {
                    port,
                    call,
                    text,
                    body,
                },
            );
        }
        let mut login = Self::default();
        while let Some(output) = vault.poll() {
            match output {
                Output::Send { op, request } => {
                    login.requested.push(request.url.clone());
                    let response = if request.form.is_some() {
                        login.pushed = Some(form_of(&request));
                        reply(201, r#"{"request_uri":"urn:example:1","expires_in":60}"#)
                    } else if request.url == discovery {
                        reply(200, &metadata.to_string())
                    } else {
                        reply(404, "")
                    };
                    let outcome = Outcome::from(response);
                    vault.handle(now, Input::Responded { op, outcome });
                }
                Output::Store { op, .. } => vault.handle(now, Input::Stored { op, ok: true }),
                Output::Post { text, .. } => login.posted(&serde_json::from_str(&text).unwrap()),
                _ => {}
            }
        }
        login
    }

    fn posted(&mut self, message: &Value) {
        match text(message, "t") {
            "navigate" => self.end = Some(Ok(text(message, "url").to_owned())),
            "error" => self.end = Some(Err(text(message, "code").to_owned())),
            _ => {}
        }
    }

    /// Returns the parameters of the authorization request, pushed or not.
    fn parameters(&self) -> BTreeMap<String, String> {
        let address = self.end.as_ref().unwrap().as_ref().unwrap();
        let in_address = params(address.split_once('?').unwrap().1);
        self.pushed.clone().unwrap_or(in_address)
    }
}

#[test]
fn logins_start_with_recorded_metadata() {
    for guide in guides().iter().filter(|guide| !guide.is_handler) {
        let name = &guide.name;
        let facts = guide.facts().unwrap_or_default();
        let (discovery, metadata) = if facts["metadata"].is_object() {
            (text(&facts, "discovery"), &facts["metadata"])
        } else if guide.config["metadata"]["jwks_uri"].is_string() {
            ("", &guide.config["metadata"])
        } else {
            continue;
        };
        let login = Login::start(&guide.config, discovery, metadata);
        let address = match login.end.as_ref().unwrap() {
            Ok(address) => address,
            Err(code) => panic!("{name}: {code}"),
        };
        let endpoint = text(metadata, "authorization_endpoint");
        assert!(address.starts_with(&[endpoint, "?"].concat()), "{name}");
        let mut expected: Vec<&str> = Vec::from_iter((!discovery.is_empty()).then_some(discovery));
        if login.pushed.is_some() {
            expected.push(text(metadata, "pushed_authorization_request_endpoint"));
        }
        assert_eq!(login.requested, expected, "{name}");
        let sent = login.parameters();
        assert_eq!(sent["client_id"], text(&guide.config, "clientId"), "{name}");
        assert_eq!(sent["scope"], text(&guide.config, "scope"), "{name}");
        assert_eq!(sent["redirect_uri"], "https://app.example.com/callback");
        assert_eq!(sent["code_challenge_method"], "S256", "{name}");
        let asks_consent = guide.config["consent"] == "always";
        let prompt = sent.get("prompt").map(String::as_str);
        assert_eq!(prompt, asks_consent.then_some("consent"), "{name}");
        let more = guide.config["authorizationParams"].as_object();
        for (parameter, value) in more.into_iter().flatten() {
            assert_eq!(sent[parameter], value.as_str().unwrap(), "{name}");
        }
        for rule in list(&guide.config["apis"]) {
            if let Some(resource) = rule["resource"].as_str() {
                assert_eq!(sent["resource"], resource, "{name}");
            }
        }
    }
}

#[test]
fn handlers_accept_recorded_metadata() {
    for guide in guides().iter().filter(|guide| guide.is_handler) {
        let flow = guide.parse().unwrap();
        let metadata = guide.facts().unwrap()["metadata"].to_string();
        Metadata::parse_expected(&metadata, &flow.expected_metadata()).unwrap();
    }
}

#[test]
fn documented_mismatches_are_refused() {
    let mut count = 0;
    for guide in guides() {
        let facts = guide.facts().unwrap_or_default();
        for case in list(&facts["refused"]) {
            let mut metadata = facts["metadata"].clone();
            for (member, value) in case["members"].as_object().into_iter().flatten() {
                metadata[member] = value.clone();
            }
            let issuer = case["issuer"].as_str();
            let issuer = issuer.unwrap_or_else(|| text(&guide.config, "issuer"));
            let error = Metadata::parse(&metadata.to_string(), issuer).unwrap_err();
            assert_eq!(error.code().as_str(), text(case, "code"), "{issuer}");
            count += 1;
        }
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn issuers_with_a_slash_keep_it_in_guides() {
    for (name, has_slash) in [("auth0", true), ("lemonldap-ng", true), ("canaille", false)] {
        let flow = Guide::named(name).parse().unwrap();
        assert_eq!(flow.issuer.ends_with('/'), has_slash, "{name}");
    }
}

#[test]
fn recorded_refusals_of_a_refresh_are_classified() {
    let mut count = 0;
    for guide in guides() {
        for Refusal {
            status,
            body,
            reason,
        } in guide.refusals()
        {
            let outcome = Outcome::from(reply(status, &body));
            match (classify(&outcome, Scheme::Bearer.into()), reason) {
                (RefreshOutcome::Ended, Some(reason)) => {
                    let end = provider_errors::end_reason(&outcome).as_str();
                    assert_eq!(end, reason, "{body}");
                }
                (RefreshOutcome::Unexplained(_) | RefreshOutcome::NotOAuth(_), None) => {}
                (other, expected) => panic!("{}: {other:?}, not {expected:?}", guide.name),
            }
            count += 1;
        }
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn recorded_refusals_end_sessions_as_documented() {
    for guide in guides().iter().filter(|guide| !guide.is_handler) {
        for refusal in guide.refusals() {
            let (mut world, page) = guide.signed_in();
            let fault = Fault::Response(refusal.status, refusal.body.leak());
            world.provider.fault(Endpoint::Refresh, &[fault]);
            world.expire_access_token();
            world.fetch(page, "/orders");
            world.answer_all();
            let is_over = world.session(page).is_none();
            assert_eq!(is_over, refusal.reason.is_some(), "{}", guide.name);
            let reason = world.reason(page);
            assert_eq!(reason, refusal.reason.as_deref(), "{}", guide.name);
        }
    }
}

#[test]
fn entra_id_refreshes_carry_the_rules_scope() {
    let guide = Guide::named("entra-id");
    let scope = text(&guide.config["apis"][0], "scope");
    let (mut world, page) = guide.signed_in();
    for _ in 0..5 {
        world.advance(Duration::from_secs(200));
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
    }
    let asked = &world.provider.asked_for;
    assert!(asked.len() > 2, "{asked:?}");
    for [_, _, asked] in asked {
        assert_eq!(asked.as_deref(), Some(scope));
    }
}

#[test]
fn logto_refreshes_name_the_resource() {
    let guide = Guide::named("logto");
    let (world, _) = guide.signed_in();
    let [[resource, ..]] = &world.provider.asked_for[..] else {
        panic!("one refresh");
    };
    let expected = &guide.config["apis"][0]["resource"];
    assert_eq!(resource.as_deref(), expected.as_str());
}

#[test]
fn cognito_logout_has_its_own_parameters() {
    let guide = Guide::named("cognito");
    let (mut world, page) = guide.signed_in();
    let logout = world.ask(page, r#""t":"logout","provider":true"#);
    world.answer_all();
    let address = world.address(logout);
    let (endpoint, query) = address.split_once('?').unwrap();
    let facts = guide.facts().unwrap();
    assert_eq!(endpoint, text(&facts["metadata"], "end_session_endpoint"));
    // The configuration names this endpoint for the worker's policy only, so it must be that of the metadata.
    assert_eq!(
        guide.config["metadata"]["token_endpoint"],
        facts["metadata"]["token_endpoint"]
    );
    let sent = form::parse(query).unwrap();
    let expected = [
        (
            "logout_uri".to_owned(),
            "https://app.example.com/".to_owned(),
        ),
        ("client_id".to_owned(), CLIENT_ID.to_owned()),
    ];
    assert_eq!(sent, expected);
}

#[test]
fn literals_are_read_as_javascript_reads_them() {
    let code = "{ a: 'x // y', // a comment\n  b: [true, { c: env => env.CLIENT_SECRET }, ], }";
    let expected = json!({ "a": "x // y", "b": [true, { "c": "a-secret" }] });
    assert_eq!(Literal(code).value(), expected);
}
