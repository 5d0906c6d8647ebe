//! A browser with a key for bound sessions (Device Bound Session Credentials), as Chromium behaves.

use edge::{OwnResponse, Request};
use serde_json::{Value, json};

use crate::browser::{Browser, Source};
use crate::crypto::Pair;
use crate::host::{APP, Answered, Host, KEYS, header, json_of};

/// The name of the bound cookie.
pub(crate) const BOUND: &str = "__Host-strongroom-bound";

/// An address of the route.
pub(crate) const CALL: &str = "/api/orders";

/// The cookie with which a registration may be offered again.
pub(crate) const UNBOUND: &str = "__Host-strongroom-unbound";

/// The time after a login at which a browser that has registered no key gets a second offer, in seconds.
pub(crate) const SECOND_OFFER: u64 = 600;

/// The life of a bound cookie with its margin, in seconds.
pub(crate) const VALID: u64 = 660;

/// The time within which requests in flight pass, in seconds.
pub(crate) const IN_FLIGHT: u64 = 10;

const REGISTRATION: &str = "secure-session-registration";
const CHALLENGE: &str = "secure-session-challenge";

/// Returns a configuration with this value of `session.bind`.
pub(crate) fn binding(mode: &str) -> Value {
    json!({ "session": { "bind": mode } })
}

/// A browser's key, and what the browser knows of its bound session.
pub(crate) struct Device {
    pub(crate) key: Pair,
    pub(crate) identifier: String,
    /// The address of a renewal.
    pub(crate) refresh: String,
    /// The challenge of the next renewal.
    pub(crate) challenge: String,
}

/// The offer to register a key.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) path: String,
    pub(crate) challenge: String,
}

impl Offer {
    /// Reads the offer in a response.
    pub(crate) fn of(response: &OwnResponse) -> Option<Self> {
        let value = header(response, REGISTRATION)?;
        assert!(value.starts_with("(ES256 RS256);"), "{value}");
        Some(Self {
            path: parameter(value, "path"),
            challenge: parameter(value, "challenge"),
        })
    }
}

fn parameter(value: &str, name: &str) -> String {
    let start = value.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    value[start..].split('"').next().unwrap().to_owned()
}

/// Returns the challenge in a response.
pub(crate) fn challenge_in(response: &OwnResponse) -> String {
    let value = header(response, CHALLENGE).unwrap();
    value.split('"').nth(1).unwrap().to_owned()
}

/// Returns true if a response ends the browser's bound session.
pub(crate) fn ends(response: &OwnResponse) -> bool {
    response.status == 200 && json_of(response)["continue"] == json!(false)
}

/// Returns a request as the browser itself sends it for a bound session. It has no cookie, as after a login at a provider
/// on another site.
pub(crate) fn by_browser(path: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        url: format!("{APP}{path}"),
        origin: Some(APP.to_owned()),
        site: Some("same-origin".to_owned()),
        mode: Some("no-cors".to_owned()),
        dest: Some("empty".to_owned()),
        ..Request::default()
    }
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            key: Pair::generate(),
            identifier: String::new(),
            refresh: "/auth/bind/refresh".to_owned(),
            challenge: String::new(),
        }
    }

    /// Returns a signed challenge. A registration also has the public key.
    pub(crate) fn signed(&self, challenge: &str, has_key: bool) -> String {
        let jwk = if has_key {
            format!(r#","jwk":{}"#, self.key.public_jwk(""))
        } else {
            String::new()
        };
        let head = format!(r#"{{"typ":"dbsc+jwt","alg":"ES256"{jwk}}}"#);
        self.key
            .jwt(&head, &json!({ "jti": challenge }).to_string())
    }

    /// Registers the key.
    pub(crate) fn register(&mut self, host: &mut Host, offer: &Offer) -> OwnResponse {
        let request = Request {
            bound_response: Some(self.signed(&offer.challenge, true)),
            ..by_browser(&offer.path)
        };
        let response = host.request(request).own();
        self.note(&response);
        response
    }

    /// Registers the key with the cookies of the browser, as after an offer that script of the app caused.
    pub(crate) fn register_with_cookies(&mut self, host: &mut Host, offer: &Offer) -> OwnResponse {
        let request = Request {
            bound_response: Some(self.signed(&offer.challenge, true)),
            cookie: host.browser.header(Source::App),
            ..by_browser(&offer.path)
        };
        let response = host.request(request).own();
        self.note(&response);
        response
    }

    /// Renews the bound cookie with the challenge that the browser has.
    pub(crate) fn renew(&mut self, host: &mut Host) -> OwnResponse {
        let request = self.renewal(&self.challenge);
        let response = host.request(request).own();
        self.note(&response);
        response
    }

    /// Returns the request of a renewal.
    pub(crate) fn renewal(&self, challenge: &str) -> Request {
        Request {
            bound_session: Some(self.identifier.clone()),
            bound_response: Some(self.signed(challenge, false)),
            ..by_browser(&self.refresh)
        }
    }

    fn note(&mut self, response: &OwnResponse) {
        if let Some(identifier) = json_of(response)["session_identifier"].as_str() {
            identifier.clone_into(&mut self.identifier);
        }
        if let Some(refresh) = json_of(response)["refresh_url"].as_str() {
            refresh.clone_into(&mut self.refresh);
        }
        if header(response, CHALLENGE).is_some() {
            self.challenge = challenge_in(response);
        }
    }
}

/// Signs the user in, and returns the offer in the callback's response.
#[track_caller]
pub(crate) fn sign_in(host: &mut Host) -> Option<Offer> {
    let back = host.come_back("/auth/login");
    let response = host.go(&back, Source::CrossSite).own();
    assert_eq!(response.status, 303, "{response:?}");
    Offer::of(&response)
}

/// Signs the user in, and binds the session to a new key.
#[track_caller]
pub(crate) fn bound(host: &mut Host) -> Device {
    let offer = sign_in(host).unwrap();
    let mut device = Device::new();
    let response = device.register(host, &offer);
    assert_eq!(response.status, 200, "{response:?}");
    assert!(host.browser.get(BOUND).is_some());
    device
}

/// Asks for a challenge of a bound session.
pub(crate) fn challenge_of(host: &mut Host, device: &Device) -> String {
    let request = Request {
        bound_response: None,
        ..device.renewal("")
    };
    let response = host.request(request).own();
    assert_eq!(response.status, 403);
    challenge_in(&response)
}

/// Both places in which a session can be stored.
pub(crate) fn storages() -> [Value; 2] {
    ["sealed-in-cookie", "in-store"]
        .map(|storage| json!({ "session": { "bind": "if-supported", "storage": storage } }))
}

pub(crate) fn host() -> Host {
    Host::with(&binding("if-supported"))
}

/// Sends a call without the bound cookie, like a thief who has only a copy of the session's cookie.
pub(crate) fn call_without_bound_cookie(host: &mut Host) -> Answered {
    let mut browser = host.browser.clone();
    browser.lose(BOUND);
    call_as(host, &browser)
}

/// Sends a call with the cookies of another browser.
pub(crate) fn call_as(host: &mut Host, thief: &Browser) -> Answered {
    let request = Request {
        cookie: thief.header(Source::App),
        ..host.by_script("GET", CALL)
    };
    host.request_elsewhere(request)
}

#[track_caller]
pub(crate) fn assert_refused(answered: &Answered) {
    assert_eq!(answered.status(), 401, "{answered:?}");
    assert_eq!(answered.code(), "bound_cookie_missing");
    assert!(answered.cookies().is_empty(), "no cookie is cleared");
}

/// Returns changes of a configuration that make another handler of it, with the same keys.
pub(crate) fn others() -> [Value; 2] {
    [
        json!({ "client": { "id": "other", "auth": { "method": "none" } } }),
        json!({ "cookie": { "keys": [KEYS[0]], "name": "other" } }),
    ]
}
