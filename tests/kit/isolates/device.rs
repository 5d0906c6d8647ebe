//! Browsers with keys for bound sessions (Device Bound Session Credentials). They behave as Chromium does: they register a
//! new key after an offer, hold requests back while they renew the bound cookie, and renew it ahead of time.
//!
//! A signature is only a hash of the key's name and the signed text, which the simulated host verifies.

use super::{BOUND, COOKIE, Given, ORIGIN, Purpose, State, Todo, UNBOUND, VisitId, World};
use edge::Request;
use rules::codec::base64url;
use rules::oauth::pkce;

const REGISTRATION: &str = "secure-session-registration";
const CHALLENGE: &str = "secure-session-challenge";

/// Milliseconds after which a browser stops waiting for a renewal.
const PATIENCE: u64 = 20_000;

/// Longest time for a login in milliseconds.
const LOGIN: u64 = 20_000;

/// A browser renews a bound cookie ahead of time if the cookie's life ends within this number of milliseconds.
const AHEAD: u64 = 120_000;

/// The number of challenges that a browser answers for one renewal.
const ANSWERS: u32 = 2;

/// Milliseconds for which the handler accepts the answer to a challenge: one that a renewal asked for, and one that came
/// with a bound cookie.
const ASKED: u64 = 60_000;
const AHEAD_OF_TIME: u64 = 660_000;

/// The part of a browser that has keys.
#[derive(Default)]
pub struct Device {
    /// The bound session that the browser knows.
    pub session: Option<BoundSession>,
    /// The challenge of the latest login's offer.
    offer: Option<String>,
    renewing: Option<VisitId>,
    /// The number of challenges that the current renewal has answered.
    answers: u32,
    /// Requests that wait for the renewal.
    held: Vec<VisitId>,
}

/// A bound session as its browser knows it.
#[derive(Clone)]
pub struct BoundSession {
    pub key: String,
    refresh: String,
    /// The challenge for the next renewal, and the time until which the handler accepts its answer.
    challenge: Option<(String, u64)>,
}

/// Returns the thumbprint of a key (RFC 7638).
pub(super) fn thumbprint(key: &str) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{key}","y":"{key}"}}"#);
    base64url::encode(&pkce::sha256(text.as_bytes()))
}

/// Returns the bytes that a device uses as the signature of `input`.
fn signature_by(key: &str, input: &str) -> Vec<u8> {
    let hash = pkce::sha256([key, " ", input].concat().as_bytes());
    [hash, hash].concat()
}

/// Returns true if the device with this public key has signed `input`.
pub(super) fn is_signed(jwk: &str, input: &str, signature: &[u8]) -> bool {
    let key = text_after(jwk, r#""x":""#);
    key.is_some_and(|key| signature_by(key, input) == signature)
}

/// Returns a signed challenge. A registration also has the public key.
fn signed(key: &str, challenge: &str, has_key: bool) -> String {
    let jwk = match has_key {
        true => format!(r#","jwk":{{"kty":"EC","crv":"P-256","x":"{key}","y":"{key}"}}"#),
        false => String::new(),
    };
    let header = format!(r#"{{"typ":"dbsc+jwt","alg":"ES256"{jwk}}}"#);
    let claims = format!(r#"{{"jti":"{challenge}"}}"#);
    let input = [header, claims].map(|part| base64url::encode(part.as_bytes()));
    let input = input.join(".");
    let signature = base64url::encode(&signature_by(key, &input));
    [input, signature].join(".")
}

/// Returns the text between `start` and the next quotation mark.
fn text_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split('"').next()
}

/// Returns true if the response contains a bound session. Otherwise it ends the browser's bound session, or is an error.
pub(super) fn is_bound_by(given: &Given) -> bool {
    given.status == 200 && given.body.contains(r#""refresh_url""#)
}

/// Returns a request as the browser itself sends it.
fn by_browser() -> Request {
    Request {
        origin: Some(ORIGIN.to_owned()),
        site: Some("same-origin".to_owned()),
        mode: Some("no-cors".to_owned()),
        dest: Some("empty".to_owned()),
        ..Request::default()
    }
}

impl World {
    fn device(&mut self, browser: usize) -> Option<&mut Device> {
        self.browsers[browser].device.as_mut()
    }

    /// Returns a random isolate for a request of the browser itself.
    fn any_isolate(&mut self) -> usize {
        self.dice.roll(self.setup.isolates)
    }

    /// Lets a thief whose copy is from before the binding bind the session to a key of their own. The thief has the cookie of
    /// a failed registration, or pretends to have it.
    pub fn bind_copy(&mut self, thief: usize, isolate: usize) -> VisitId {
        let browser = &mut self.browsers[thief];
        browser.device.get_or_insert_default();
        let jar = &mut browser.jar;
        jar.entry(UNBOUND.to_owned())
            .or_insert_with(|| "1".to_owned());
        self.ask_session(thief, isolate)
    }

    /// Lets a thief who has read the offer of a user's login bind the session to a key of their own, if there was one.
    pub fn bind_by_offer(&mut self, thief: usize, user: usize) {
        let device = self.browsers[user].device.as_ref();
        let Some(challenge) = device.and_then(|device| device.offer.clone()) else {
            return;
        };
        self.browsers[thief].device.get_or_insert_default();
        self.register(thief, &challenge, false);
    }

    /// Registers a new key if the response offers it.
    pub(super) fn offered(&mut self, browser: usize, given: &Given, is_second: bool) {
        let Some(offer) = given.header(REGISTRATION).map(str::to_owned) else {
            return;
        };
        if self.browsers[browser].device.is_none() {
            return;
        }
        assert_eq!(text_after(&offer, "path=\""), Some("/auth/bind"));
        let challenge = text_after(&offer, "challenge=\"").unwrap().to_owned();
        if !is_second {
            self.browsers[browser].device.as_mut().unwrap().offer = Some(challenge.clone());
        }
        let delay = match self.dice.roll(10) {
            _ if !self.weather.uneven => 1,
            _ if is_second => self.up_to(30_000),
            0..6 => self.up_to(300),
            6..9 => self.up_to(4000),
            _ => self.up_to(30_000),
        };
        let register = Todo::Register {
            browser,
            challenge,
            is_second,
        };
        self.after(delay, register);
    }

    pub(super) fn register(&mut self, browser: usize, challenge: &str, is_second: bool) {
        self.keys += 1;
        let name = format!("key {}", self.keys);
        let key = base64url::encode(&pkce::sha256(name.as_bytes()));
        let isolate = self.any_isolate();
        let body = Some(challenge.to_owned());
        let id = self.enroll(Some(browser), isolate, Purpose::Bind, "/auth/bind", body);
        self.visits[id].key = Some(key.clone());
        self.visits[id].has_cookies = is_second;
        let request = Request {
            bound_response: Some(signed(&key, challenge, true)),
            ..by_browser()
        };
        self.send(id, request);
    }

    /// Notes the response to a registration.
    pub(super) fn registered(&mut self, id: VisitId, browser: usize, given: &Given) {
        let key = self.visits[id].key.clone().unwrap();
        let device = self.device(browser).unwrap();
        if is_bound_by(given) {
            let refresh = text_after(&given.body, r#""refresh_url":""#).unwrap();
            device.session = Some(BoundSession {
                key,
                refresh: refresh.to_owned(),
                challenge: None,
            });
        } else if given.status == 503 {
            let delay = self.up_to(20_000);
            self.after(delay, Todo::Ask(browser));
            // A second tab may ask at the same time. It gets another offer, for which the browser makes another key.
            if self.dice.roll(3) == 0 {
                self.after(delay, Todo::Ask(browser));
            }
        }
    }

    /// Lets the page ask for its session, as it does when it is loaded again.
    pub(super) fn ask_again(&mut self, browser: usize) {
        let isolate = self.any_isolate();
        self.ask_session(browser, isolate);
    }

    /// Lets a guard of the page sign its user in again, because the browser does not have the session's key.
    pub(super) fn refused_without_key(&mut self, id: VisitId, browser: usize) {
        let is_user = self.browsers[browser].copied.is_none();
        if is_user && !self.visits[id].was_skipped && self.dice.roll(4) == 0 {
            let delay = self.up_to(3000);
            self.after(delay, Todo::SignIn(browser));
        }
    }

    pub(super) fn sign_in_again(&mut self, browser: usize) {
        // A page that is already signing its user in does not do it again.
        let now = self.now;
        let mut latest = self.visits.iter().rev();
        let is_at_it = latest.any(|visit| {
            let is_login = visit.browser == Some(browser) && visit.purpose == Purpose::Login;
            is_login && visit.began + LOGIN > now
        });
        if !is_at_it {
            let isolate = self.any_isolate();
            self.log_in(browser, isolate);
        }
    }

    /// Holds a request back while the browser renews the bound cookie. Returns false if the request need not wait.
    pub(super) fn holds(&mut self, id: VisitId) -> bool {
        let visit = &self.visits[id];
        let is_in_scope = matches!(
            visit.purpose,
            Purpose::Call | Purpose::Poll | Purpose::Session | Purpose::Logout
        );
        let Some(browser) = visit.browser.filter(|_| is_in_scope) else {
            return false;
        };
        let left = self.browsers[browser].life_left(BOUND, self.now);
        let is_uneven = self.weather.uneven;
        let Some(device) = self.device(browser) else {
            return false;
        };
        if device.session.is_none() {
            return false;
        }
        let is_idle = device.renewing.is_none();
        if left > 0 {
            if is_idle && left < AHEAD && is_uneven && self.dice.roll(2) == 0 {
                self.renew(browser);
            }
            return false;
        }
        device.held.push(id);
        self.visits[id].state = State::Held;
        self.tell(|| format!("visit {id} waits for a renewal"));
        if is_idle {
            self.renew(browser);
        }
        true
    }

    fn renew(&mut self, browser: usize) {
        let isolate = self.any_isolate();
        let device = self.device(browser).unwrap();
        let session = device.session.as_mut().unwrap();
        let challenge = session.challenge.take();
        let BoundSession { key, refresh, .. } = session.clone();
        let id = self.enroll(Some(browser), isolate, Purpose::Renew, &refresh, None);
        self.device(browser).unwrap().renewing = Some(id);
        self.visits[id].key = Some(key.clone());
        self.visits[id].is_answer_until = challenge.as_ref().map(|(_, until)| *until);
        let request = Request {
            bound_session: Some(COOKIE.to_owned()),
            bound_response: challenge.map(|(challenge, _)| signed(&key, &challenge, false)),
            ..by_browser()
        };
        self.send(id, request);
        self.after(PATIENCE, Todo::GiveUp(id));
    }

    /// Stops waiting for a renewal.
    pub(super) fn give_up(&mut self, id: VisitId) {
        let browser = self.visits[id].browser.unwrap();
        if self.device(browser).unwrap().renewing == Some(id) {
            self.release(browser, true);
        }
    }

    /// Notes the response to a renewal.
    pub(super) fn renewed(&mut self, id: VisitId, browser: usize, given: &Given) {
        let key = self.visits[id].key.clone();
        let challenge = given.header(CHALLENGE);
        let challenge = challenge.and_then(|value| value.split('"').nth(1));
        let challenge = challenge.map(str::to_owned);
        let device = self.device(browser).unwrap();
        if device.renewing != Some(id) {
            return;
        }
        let known = device.session.as_mut();
        // A registration may have replaced the session in the meantime.
        let Some(session) = known.filter(|session| Some(&session.key) == key.as_ref()) else {
            return self.release(browser, false);
        };
        let life = match given.status {
            200 => AHEAD_OF_TIME,
            _ => ASKED,
        };
        session.challenge = challenge.map(|challenge| (challenge, given.at + life));
        let is_challenged = given.status == 403 && session.challenge.is_some();
        if is_challenged && device.answers < ANSWERS {
            device.answers += 1;
            return self.renew(browser);
        }
        if given.status == 200 && !is_bound_by(given) {
            device.session = None;
        }
        self.release(browser, given.status != 200);
    }

    /// Sends the requests that were held back.
    fn release(&mut self, browser: usize, has_failed: bool) {
        let device = self.device(browser).unwrap();
        device.renewing = None;
        device.answers = 0;
        for id in std::mem::take(&mut device.held) {
            self.visits[id].state = State::Open;
            self.visits[id].was_skipped = has_failed;
            let skipped = has_failed.then(|| "server_error".to_owned());
            let request = Request {
                bound_skipped: skipped,
                ..Request::default()
            };
            self.send(id, request);
        }
    }
}
