//! Random sequences of logins and logout tokens of two clients and two users in one store, compared with a model.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::crypto::Pair;
use crate::host::Host;
use crate::provider::ISSUER;
use kit::dice::Dice;

const SEEDS: u64 = 8;
const STEPS: usize = 40;

const CLIENTS: [&str; 2] = ["web", "other"];
const USERS: [&str; 2] = ["ann", "bob"];

/// A session as the model knows it.
struct Known {
    browser: Browser,
    client: &'static str,
    user: &'static str,
    began: u64,
}

/// An accepted logout token: its client and user, and its `iat`.
struct Accepted(&'static str, &'static str, u64);

impl Known {
    /// Returns true if one of these logout tokens ends the session: it was not issued before the session's ID token. The
    /// times in tokens are in seconds, so a token also ends a session that began later in the second of its `iat`.
    fn is_over(&self, tokens: &[Accepted]) -> bool {
        tokens.iter().any(|&Accepted(client, user, iat)| {
            (client, user) == (self.client, self.user) && self.began / 1000 <= iat
        })
    }
}

/// Returns the change to the configuration that makes an isolate this client's, with this storage of sessions.
fn isolate(client: &str, storage: &str) -> Value {
    let auth = json!({ "method": "client_secret_basic", "secret": "s" });
    json!({ "client": { "id": client, "auth": auth }, "session": { "storage": storage } })
}

/// Returns the claims of a logout token that names the user by `sid`, by `sub` or by both.
fn claims(host: &Host, dice: &mut Dice, user: &str, client: &str) -> Value {
    let now = host.now.wall / 1000;
    let mut claims = json!({
        "iss": ISSUER, "aud": client, "iat": now - dice.pick(&[0, 1, 50, 110]), "exp": now + 120,
        "jti": format!("j-{}", dice.roll(12)),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let named = dice.roll(3);
    if named != 0 {
        claims["sid"] = json!(format!("op-session-{user}"));
    }
    if named != 1 {
        claims["sub"] = json!(user);
    }
    claims
}

#[test]
fn random_logout_tokens_end_what_they_name() {
    let (mut accepted, mut refused, mut survivors) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let storage = dice.pick(&["sealed-in-cookie", "in-store"]);
        let mut host = Host::with(&isolate("web", storage));
        let (mut sessions, mut tokens) = (Vec::new(), Vec::new());
        let mut used = BTreeSet::new();
        for step in 0..STEPS {
            let what = format!("seed {seed}, step {step}");
            host.now.wall += [0, 1, 400][dice.roll(3)];
            host.pass([0, 1, 5][dice.roll(3)]);
            let client = dice.pick(&CLIENTS);
            let user = dice.pick(&USERS);
            host.restart(&isolate(client, storage));
            // The receiving isolate may have read the sessions' records a moment ago.
            if dice.roll(2) == 0 {
                assert_sessions(&mut host, &sessions, client, &tokens, &what);
            }
            if dice.roll(3) == 0 {
                host.browser = Browser::default();
                host.provider.subject = user.to_owned();
                host.provider.state(&format!(r#""aud":"{client}""#));
                let began = host.now.wall;
                host.sign_in();
                sessions.push(Known {
                    browser: host.browser.clone(),
                    client,
                    user,
                    began,
                });
                continue;
            }
            let claims = claims(&host, &mut dice, user, client);
            let is_forged = dice.roll(6) == 0;
            let (header, claims_text) = (r#"{"alg":"ES256","kid":"key-0"}"#, claims.to_string());
            let token = match is_forged {
                true => Pair::generate().jwt(header, &claims_text),
                false => host.provider.jwt(header, &claims_text),
            };
            let is_new = !is_forged && used.insert((client, claims["jti"].to_string()));
            let status = host.post_logout_token(&token).status;
            assert_eq!(status, if is_new { 200 } else { 400 }, "{what}");
            if is_new {
                let iat = claims["iat"].as_u64().unwrap();
                tokens.push(Accepted(client, user, iat));
            } else {
                refused += 1;
            }
            assert_sessions(&mut host, &sessions, client, &tokens, &what);
            host.restart(&json!({}));
            survivors += assert_sessions(&mut host, &sessions, client, &tokens, &what);
        }
        accepted += tokens.len();
    }
    // A control: the sequences reach each case.
    let reached = [accepted, refused, survivors];
    assert!(reached.iter().all(|&count| count > 30), "{reached:?}");
}

/// Compares the client's sessions with the model. Returns the number of sessions that continue.
#[track_caller]
fn assert_sessions(
    host: &mut Host,
    sessions: &[Known],
    client: &str,
    tokens: &[Accepted],
    what: &str,
) -> usize {
    let mut survivors = 0;
    for known in sessions.iter().filter(|known| known.client == client) {
        host.browser = known.browser.clone();
        let is_over = known.is_over(tokens);
        assert_eq!(host.session().is_null(), is_over, "{what}: {}", known.user);
        survivors += usize::from(!is_over);
    }
    survivors
}
