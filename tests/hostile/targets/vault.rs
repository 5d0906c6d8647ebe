//! Checks a vault with hostile pages, a hostile provider and a hostile API. No page must learn a secret. The vault must
//! send requests only to the provider and the API, and tokens only to URLs that `apis` allows. The vault must also keep
//! responding.
//!
//! The input is a script. A line is a message of the hostile page, unless it begins with
//!
//! - `<`: the next response of the provider: a status, a `Content-Type`, and the body, separated by spaces;
//! - `*`: the next response of the API: a status, and `WWW-Authenticate`;
//! - `~`: milliseconds that pass;
//! - `>`: a message of a friendly page.

use std::collections::{BTreeMap, VecDeque};

use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::http::{HttpReply, HttpRequest, Outcome};
use rules::codec::base64url;
use rules::codec::json::{Object, Value};
use vault::config::Config;
use vault::{
    Body, CallId, Entropy, Input, Loaded, OpId, Output, PortId, ResponseHead, Taken, Vault,
};

macro_rules! metadata {
    () => {
        r#"{"issuer":"https://id.example.com","code_challenge_methods_supported":["S256"],
        "authorization_endpoint":"https://id.example.com/authorize",
        "token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks",
        "revocation_endpoint":"https://id.example.com/revoke",
        "device_authorization_endpoint":"https://id.example.com/device",
        "end_session_endpoint":"https://id.example.com/end"}"#
    };
}

/// A configuration with the provider's metadata.
const CONFIG: &str = concat!(
    r#"{"issuer":"https://id.example.com","clientId":"spa","redirectUri":"/callback",
    "scope":"openid offline_access","inspect":true,"deviceFlow":true,
    "apis":[{"url":"https://api.example.com/v1/","methods":["GET","POST"],"stepUp":true,"webSocket":{"token":"query","parameter":"t"}}],
    "metadata":"#,
    metadata!(),
    "}"
);

/// The path of the provider's metadata, without the first slash.
const METADATA_PATH: &str = ".well-known/openid-configuration";

/// The marker that all secrets, and only secrets, contain.
const CANARY: &str = "5ecre7";

const GOOD: PortId = PortId(1);
const HOSTILE: PortId = PortId(2);

/// The largest number of lines of the script that are run.
const MAX_LINES: usize = 64;

pub fn check(input: &[u8]) {
    let script = String::from_utf8_lossy(input);
    // A page's own messages are not secret, so the marker is removed from them.
    let harmless = |line: &str| line.replace(CANARY, "");
    let mut host = Host::signed_in();
    host.say(HOSTILE, r#"{"t":"hello","version":1}"#);
    for line in script.split('\n').take(MAX_LINES) {
        match line.as_bytes().first() {
            Some(b'<') => host.provider_answers.push_back(line[1..].to_owned()),
            Some(b'*') => host.api_answers.push_back(harmless(&line[1..])),
            Some(b'~') => host.pass(line[1..].parse().unwrap_or(1000)),
            Some(b'>') => host.say(GOOD, &harmless(&line[1..])),
            _ => host.say(HOSTILE, &harmless(line)),
        }
    }
    host.still_answers();
}

/// A source of numbers in place of random numbers. Each call returns another number.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
    }
}

struct Host {
    vault: Vault,
    now: Instant,
    last_call: CallId,
    store: BTreeMap<String, Secret>,
    provider_answers: VecDeque<String>,
    api_answers: VecDeque<String>,
    issued: u32,
    /// The last part of the provider's tokens.
    ending: String,
    nonce: String,
    /// The messages that each page received.
    told: BTreeMap<PortId, Vec<String>>,
}

impl Host {
    fn signed_in() -> Self {
        Self::with(CONFIG, "")
    }

    fn with(config: &str, ending: &str) -> Self {
        let config = Config::parse(config, "https://app.example.com/auth.worker.js").unwrap();
        let mut host = Self {
            vault: Vault::new(config, Box::new(Counter(0))),
            now: Instant {
                monotonic: Millis(5000),
                wall: 1_800_000_000_000,
            },
            last_call: CallId(0),
            store: BTreeMap::new(),
            provider_answers: VecDeque::new(),
            api_answers: VecDeque::new(),
            issued: 0,
            ending: ending.to_owned(),
            nonce: String::new(),
            told: BTreeMap::new(),
        };
        host.say(GOOD, r#"{"t":"hello","version":1}"#);
        host.say(GOOD, r#"{"t":"login","id":1,"mode":"redirect"}"#);
        let state = host.last_parameter("state");
        host.nonce = host.last_parameter("nonce");
        let answer = format!(
            r#"{{"t":"callback","id":2,"url":"https://app.example.com/callback?code={CANARY}-code&state={state}"}}"#
        );
        host.say(GOOD, &answer);
        let settled = host.told[&GOOD]
            .iter()
            .any(|text| text.contains(r#""t":"settled""#));
        assert!(settled, "{:?}", host.told);
        host
    }

    /// Returns a parameter of the URL that the friendly page was last sent to.
    fn last_parameter(&self, name: &str) -> String {
        let navigate = self.told[&GOOD].last().unwrap();
        let navigate = Value::parse(navigate).unwrap();
        let url = navigate.as_object().and_then(|m| m.str("url")).unwrap();
        let url = url::Url::parse(url).unwrap();
        let found = url.query_pairs().find(|(n, _)| n == name).unwrap();
        found.1.into_owned()
    }

    fn say(&mut self, port: PortId, text: &str) {
        self.last_call = self.last_call.next();
        let call = self.last_call;
        self.handle(Input::Message {
            port,
            call,
            text,
            body: Body::Replayable,
        });
    }

    fn pass(&mut self, millis: u64) {
        let millis = millis.min(1 << 40);
        self.now.monotonic = self.now.monotonic + Millis(millis);
        self.now.wall += millis;
        self.handle(Input::Tick);
    }

    fn handle(&mut self, input: Input<'_>) {
        self.vault.handle(self.now, input);
        // Each response may cause another output. The limit stops an endless loop.
        for _ in 0..10_000 {
            let Some(output) = self.vault.poll() else {
                return;
            };
            if let Some(input) = self.carry_out(output) {
                self.vault.handle(self.now, input);
            }
        }
        panic!("the vault asks for more and more");
    }

    fn carry_out(&mut self, output: Output) -> Option<Input<'static>> {
        let shown = format!("{output:?}");
        assert!(shown.bytes().all(|b| b.is_ascii_alphanumeric()), "{shown}");
        match output {
            Output::Post { port, text } => self.tell(port, text),
            Output::Deliver { call, text } => {
                self.tell(GOOD, text);
                return Some(Input::CallClosed { call });
            }
            Output::Send { op, request } => return Some(self.provider(op, &request)),
            Output::Store { op, key, value, .. } => {
                assert!(
                    base64url::decode(&key).is_some() && key.len() == 43,
                    "{key}"
                );
                self.store.insert(key, value);
                return Some(Input::Stored { op, ok: true });
            }
            Output::Take { op, key } => {
                let taken = self.store.remove(&key).map_or(Taken::Absent, Taken::Found);
                return Some(Input::Taken { op, taken });
            }
            Output::Verify { op, signature, .. } => {
                let valid = signature == b"signature";
                return Some(Input::Verified { op, valid });
            }
            Output::Persist { op, state, .. } => {
                assert!(state.is_none());
                return Some(Input::Stored { op, ok: true });
            }
            Output::Load { op, .. } => {
                let loaded = Loaded::Unavailable;
                return Some(Input::Loaded { op, loaded });
            }
            Output::Lock { op } => return Some(Input::Locked { op }),
            Output::Call { call, request, .. } => {
                let url = request.allowed.url();
                assert!(url.starts_with("https://api.example.com/v1/"), "{url}");
                assert!(["GET", "POST"].contains(&request.allowed.method()));
                let token = request
                    .authorization
                    .expose()
                    .strip_prefix("Bearer ")
                    .unwrap();
                assert!(token.bytes().all(|b| b.is_ascii_graphic()), "{token}");
                Value::parse(&request.init).unwrap();
                return Some(self.api(call, url));
            }
            Output::ProbeSocket { call, url } => {
                assert!(url.starts_with("wss://api.example.com/v1/"), "{url:?}");
                let is_blocked = false;
                return Some(Input::SocketProbed { call, is_blocked });
            }
            Output::OpenSocket { call, handshake } => {
                let url = handshake.url.expose();
                assert!(url.starts_with("wss://api.example.com/v1/"), "{url}");
                return Some(Input::SocketOpened {
                    call,
                    protocol: String::new(),
                });
            }
            Output::Log { text } => assert!(!text.contains(CANARY), "{text}"),
            Output::MakeKey { op } => {
                let key = None;
                return Some(Input::KeyMade { op, key });
            }
            Output::Close { .. }
            | Output::KeepKeys { .. }
            | Output::Cancel { .. }
            | Output::TakeOver
            | Output::Unlock
            | Output::Announce
            | Output::HandKeyOver
            | Output::SendFirst { .. }
            | Output::Search { .. }
            | Output::CloseSocket { .. }
            | Output::Hint(_)
            | Output::Stop
            | Output::Drop { .. } => {}
        }
        None
    }

    /// Records a message to a page. The message must be JSON with a type, and must not contain a secret.
    fn tell(&mut self, port: PortId, text: String) {
        let message = Value::parse(&text).unwrap();
        let message: &Object = message.as_object().unwrap();
        assert!(message.str("t").is_some(), "{text}");
        assert!(!text.contains(CANARY), "{text}");
        let encoded = base64url::encode(CANARY.as_bytes());
        assert!(!text.contains(&encoded[..encoded.len() - 1]), "{text}");
        // The message for `redirect_uri_mismatch` contains the complete URL of the page.
        let is_mismatch = message.str("code") == Some("redirect_uri_mismatch");
        if message.str("t") == Some("error") && !is_mismatch {
            super::assert_presentable(message.str("message").unwrap());
        }
        self.told.entry(port).or_default().push(text);
    }

    fn provider(&mut self, op: OpId, request: &HttpRequest) -> Input<'static> {
        let path = request.url.strip_prefix("https://id.example.com/").unwrap();
        // The query of a probe is a nonce.
        let path = path.split('?').next().unwrap();
        let is_read = [METADATA_PATH, "jwks"].contains(&path);
        let is_sent = ["token", "revoke", "device"].contains(&path);
        assert!(is_read || is_sent, "{path}");
        assert_eq!(request.form.is_some(), is_sent);
        let scripted = self.provider_answers.pop_front();
        let (status, content_type, body) = match &scripted {
            Some(line) => {
                let mut words = line.splitn(3, ' ');
                let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                let content_type = words.next().unwrap_or_default();
                let body = words.next().unwrap_or_default().to_owned();
                (status, content_type, body)
            }
            None => (200, "application/json", self.usual_answer(path)),
        };
        let reply = HttpReply {
            status,
            content_type: Some(content_type.to_owned()),
            retry_after: (status == 429).then_some(Millis(1000)),
            date: None,
            body: Some(Secret::new(body)),
            dpop_nonce: None,
            location: None,
        };
        let outcome = match status {
            0 => Outcome::Failed,
            _ => Outcome::from(reply),
        };
        Input::Responded { op, outcome }
    }

    fn usual_answer(&mut self, path: &str) -> String {
        match path {
            "token" => {
                self.issued += 1;
                let n = format!("{}{}", self.issued, self.ending);
                let id_token = self.id_token();
                format!(
                    r#"{{"access_token":"{CANARY}-at-{n}","token_type":"Bearer","expires_in":300,
                        "refresh_token":"{CANARY}-rt-{n}","id_token":"{id_token}"}}"#
                )
            }
            METADATA_PATH => metadata!().to_owned(),
            "jwks" => {
                let x = base64url::encode(&[7; 32]);
                format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}]}}"#)
            }
            "device" => format!(
                r#"{{"device_code":"{CANARY}-dc","user_code":"CODE","expires_in":600,"interval":5,
                    "verification_uri":"https://id.example.com/type-it-in"}}"#
            ),
            _ => String::new(),
        }
    }

    fn id_token(&self) -> String {
        let (iat, nonce) = (self.now.wall / 1000, &self.nonce);
        let claims = format!(
            r#"{{"iss":"https://id.example.com","sub":"joe","aud":"spa","exp":{},"iat":{iat},"nonce":"{nonce}"}}"#,
            iat + 300
        );
        let parts = [r#"{"alg":"ES256"}"#, &claims, "signature"];
        parts
            .map(|part| base64url::encode(part.as_bytes()))
            .join(".")
    }

    fn api(&mut self, call: CallId, url: &str) -> Input<'static> {
        let scripted = self
            .api_answers
            .pop_front()
            .unwrap_or_else(|| "200".to_owned());
        let (status, challenge) = scripted.split_once(' ').unwrap_or((&scripted, ""));
        let status = status.parse().unwrap_or(200);
        if status == 1 {
            return Input::CallFailed { call };
        }
        let head = ResponseHead {
            status,
            status_text: String::new(),
            url: url.to_owned(),
            redirected: false,
            has_body: true,
            www_authenticate: Some(challenge.to_owned()),
            dpop_nonce: None,
            has_range: false,
        };
        Input::CallResponded { call, head }
    }

    /// Checks that the vault greets a new page and responds to its request.
    fn still_answers(&mut self) {
        const NEW: PortId = PortId(3);
        self.say(NEW, r#"{"t":"hello","version":1}"#);
        let told = &self.told[&NEW];
        assert!(told[0].contains(r#""t":"ready""#), "{told:?}");
        let fetch =
            r#"{"t":"fetch","id":9,"url":"https://evil.test/","method":"GET","headers":[]}"#;
        self.say(NEW, fetch);
        let answer = self.told[&NEW].last().unwrap();
        assert!(
            answer.contains(r#""id":9"#) && answer.contains(r#""code""#),
            "{answer}"
        );
    }
}

#[cfg(test)]
mod controls {
    use super::{CANARY, CONFIG, GOOD, Host};
    use rules::codec::base64url;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use vault::PortId;

    #[test]
    fn control_leaked_secret_is_detected() {
        let tells = |detail: &str| {
            let mut host = Host::signed_in();
            let text = format!(r#"{{"t":"trace","detail":"{detail}"}}"#);
            catch_unwind(AssertUnwindSafe(|| host.tell(GOOD, text))).is_ok()
        };
        assert!(tells("harmless"));
        assert!(!tells(&format!("{CANARY}-at-1")));
        assert!(!tells(&base64url::encode(
            format!("{CANARY}-at-1").as_bytes()
        )));
    }

    /// Returns what pages are told by a vault whose tokens have an ending of this length.
    fn told(config: &str, length: usize) -> BTreeMap<PortId, Vec<String>> {
        let mut host = Host::with(config, &"x".repeat(length));
        let fetch = r#""url":"https://api.example.com/v1/a","method":"GET","headers":[]}"#;
        // The timer fires each minute, so that the vault does not look as if it had slept.
        let pass_minutes = |host: &mut Host| (0..7).for_each(|_| host.pass(60_000));
        host.say(GOOD, &[r#"{"t":"fetch","id":7,"#, fetch].concat());
        pass_minutes(&mut host);
        host.say(GOOD, &[r#"{"t":"fetch","id":8,"#, fetch].concat());
        host.say(GOOD, r#"{"t":"inspect","id":10}"#);
        for answer in [
            "500 text/html x",
            "400 application/json {\"error\":\"invalid_grant\"}",
        ] {
            pass_minutes(&mut host);
            host.provider_answers.push_back(answer.to_owned());
            host.say(GOOD, &[r#"{"t":"fetch","id":9,"#, fetch].concat());
        }
        host.say(GOOD, r#"{"t":"logout","id":11,"provider":false}"#);
        assert!(host.issued >= 2);
        host.told
    }

    // claim: script-16
    #[test]
    fn token_length_does_not_change_page_messages() {
        let config = CONFIG.replace(r#""inspect":true,"#, "");
        let short = told(&config, 1);
        assert!(short[&GOOD].len() > 8);
        for length in [2, 100, 16_000] {
            assert_eq!(told(&config, length), short, "{length}");
        }
    }

    #[test]
    fn control_inspector_tells_fingerprints_of_tokens() {
        assert_ne!(told(CONFIG, 2), told(CONFIG, 1));
    }

    #[test]
    fn control_friendly_page_gets_responses() {
        let mut host = Host::signed_in();
        let fetch = r#"{"t":"fetch","id":7,"url":"https://api.example.com/v1/a","method":"GET","headers":[]}"#;
        host.say(GOOD, fetch);
        let head = host.told[&GOOD]
            .iter()
            .find(|text| text.contains(r#""t":"head""#));
        assert!(head.unwrap().contains(r#""status":200"#));
        host.still_answers();
    }

    #[test]
    fn scripts_reach_their_features() {
        let mut host = Host::signed_in();
        host.say(GOOD, r#"{"t":"login","id":7,"mode":"device"}"#);
        host.pass(6000);
        let challenge = r#"401 Bearer error="insufficient_user_authentication", max_age="5""#;
        host.api_answers.push_back(challenge.to_owned());
        let fetch = r#"{"t":"fetch","id":8,"url":"https://api.example.com/v1/a","method":"GET","headers":[]}"#;
        host.say(GOOD, fetch);
        let socket =
            r#"{"t":"socket","id":9,"url":"wss://api.example.com/v1/live","protocols":[]}"#;
        host.say(GOOD, socket);
        host.say(GOOD, r#"{"t":"inspect","id":10}"#);
        let told = host.told[&GOOD].join("\n");
        for text in [
            r#""CODE""#,
            r#""code":"step_up_required""#,
            r#""t":"socket","id":9"#,
            r#""t":"inspection""#,
            r#""event":"call_sent""#,
        ] {
            assert!(told.contains(text), "{text} is not in\n{told}");
        }
    }
}
