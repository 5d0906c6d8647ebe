//! Tests of the provider's signing keys: when the handler fetches them again.

use edge::{Effect, TaskId};
use rules::Code;

use crate::browser::Source;
use crate::crypto::Pair;
use crate::host::{Host, location, logout_request};
use crate::provider::{self, ISSUER};

/// Returns the number of fetches of the key set.
fn fetches(host: &Host) -> usize {
    host.provider.sent_to("/jwks").len()
}

/// Begins a login and completes it at once. Returns the status of the handler's response.
fn sign_in(host: &mut Host) -> u16 {
    let back = host.come_back("/auth/login");
    host.arrive(&back).status
}

#[test]
fn refresh_after_a_rotation_verifies_its_id_token() {
    let mut host = Host::new();
    host.provider.set_lifetime(20);
    host.provider.id_token_on_refresh = true;
    host.sign_in();
    host.provider.rotate_key();
    host.pass(19);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    assert_eq!((fetches(&host), host.faults()), (2, Vec::new()));
}

#[test]
fn id_token_fetches_keys_at_most_once() {
    let mut host = Host::new();
    let other = Pair::generate().public_jwk(r#","kid":"0""#);
    let reply = provider::json(200, &format!(r#"{{"keys":[{other}]}}"#));
    host.provider.replies.push_back(("/jwks", Some(reply)));
    // The login fetched these keys after its tokens had arrived, so the provider does not publish the key.
    assert_eq!(sign_in(&mut host), 400);
    assert_eq!(
        (fetches(&host), host.faults()),
        (1, vec![Code::IdTokenInvalid])
    );
    assert_eq!(sign_in(&mut host), 303);
    assert_eq!(fetches(&host), 2);
}

// claim: handler-42
#[test]
fn unpublished_key_causes_two_fetches_in_30_seconds() {
    let mut host = Host::signed_in();
    host.pass(60);
    host.provider.header = Some(r#"{"alg":"ES256","kid":"lost"}"#);
    for expected in [3, 5, 7] {
        for _ in 0..29 {
            assert_eq!(sign_in(&mut host), 400);
            host.pass(1);
        }
        assert_eq!(fetches(&host), expected);
        host.pass(1);
    }
}

// claim: handler-42
#[test]
fn failed_fetch_is_not_repeated_for_each_login() {
    let mut host = Host::signed_in();
    host.provider.rotate_key();
    for _ in 0..5 {
        let reply = provider::json(500, "");
        host.provider.replies.push_back(("/jwks", Some(reply)));
        assert_ne!(sign_in(&mut host), 303);
    }
    assert_eq!(fetches(&host), 2);
    host.provider.replies.clear();
    host.pass(30);
    host.sign_in();
}

fn is_waiting(effect: &Effect) -> bool {
    matches!(effect, Effect::Sleep { flight, .. } if flight.is_some())
}

fn is_waiting_or_sending(effect: &Effect) -> bool {
    is_waiting(effect) || matches!(effect, Effect::Send { .. })
}

fn is_fetch(effect: &Effect) -> bool {
    matches!(effect, Effect::Send { request, .. } if request.url.ends_with("/jwks"))
}

/// Completes a login up to the moment at which it fetches keys, or waits for a fetch.
fn until_keys(host: &mut Host, back: &str) -> (TaskId, Effect) {
    let request = host.navigation(back, Source::CrossSite);
    host.run_until(request, |effect| is_waiting(effect) || is_fetch(effect))
}

// claim: handler-42
#[test]
fn logins_share_the_fetch_of_a_new_key() {
    let mut host = Host::signed_in();
    host.provider.rotate_key();
    let back = [(), (), ()].map(|()| host.come_back("/auth/login"));
    let logins = back.map(|back| until_keys(&mut host, &back));
    let is_fetch = logins.each_ref().map(|(_, effect)| is_fetch(effect));
    assert_eq!(is_fetch, [true, false, false]);
    for login in logins {
        let response = host.finish(login);
        assert_eq!((response.status, location(&response)), (303, "/"));
    }
    assert_eq!(fetches(&host), 2);
}

#[test]
fn first_logins_share_the_fetches() {
    // The logins begin without metadata, and end without keys.
    let mut host = Host::new();
    let begun = [(), (), ()].map(|()| {
        let request = host.navigation("/auth/login", Source::App);
        host.run_until(request, is_waiting_or_sending)
    });
    let waits = begun.each_ref().map(|(_, effect)| is_waiting(effect));
    assert_eq!(waits, [false, true, true]);
    for login in begun {
        assert_eq!(host.finish(login).status, 303);
    }
    let documents = "/.well-known/openid-configuration";
    assert_eq!(host.provider.sent_to(documents).len(), 1);
    let back = [(), (), ()].map(|()| host.come_back("/auth/login"));
    let logins = back.map(|back| until_keys(&mut host, &back));
    let waits = logins.each_ref().map(|(_, effect)| is_waiting(effect));
    assert_eq!(waits, [false, true, true]);
    for login in logins {
        assert_eq!(host.finish(login).status, 303);
    }
    assert_eq!(fetches(&host), 1);
}

/// In an outage, forged tokens that arrive together cause one request, and not one each.
#[test]
fn forged_logout_tokens_share_a_failing_fetch() {
    let forged = Pair::generate().jwt(
        r#"{"alg":"ES256","kid":"forged","typ":"logout+jwt"}"#,
        &format!(r#"{{"iss":"{ISSUER}","aud":"web"}}"#),
    );
    for location in ["/.well-known/openid-configuration", "/jwks"] {
        let mut host = Host::new();
        if location == "/jwks" {
            // The metadata is known.
            host.come_back("/auth/login");
        }
        let before = host.provider.sent_to(location).len();
        let logouts = [(), (), ()].map(|()| {
            host.body = Some(format!("logout_token={forged}"));
            host.run_until(logout_request(), is_waiting_or_sending)
        });
        let waits = logouts.each_ref().map(|(_, effect)| is_waiting(effect));
        assert_eq!(waits, [false, true, true], "{location}");
        for _ in 0..10 {
            let reply = provider::json(400, "");
            host.provider.replies.push_back((location, Some(reply)));
        }
        let mut sent = Vec::new();
        for logout in logouts {
            assert_eq!(host.finish(logout).status, 503, "{location}");
            sent.push(host.provider.sent_to(location).len() - before);
        }
        assert!(sent.windows(2).all(|pair| pair[0] == pair[1]), "{sent:?}");
    }
}

#[test]
fn login_fetches_keys_if_the_fetch_that_it_awaited_has_failed() {
    let mut host = Host::signed_in();
    host.pass(30);
    host.provider.rotate_key();
    let back = [(), ()].map(|()| host.come_back("/auth/login"));
    let [failing, waiting] = back.map(|back| until_keys(&mut host, &back));
    let reply = provider::json(500, "");
    host.provider.replies.push_back(("/jwks", Some(reply)));
    assert_ne!(host.finish(failing).status, 303);
    assert_eq!(host.finish(waiting).status, 303);
    assert_eq!(fetches(&host), 3);
}

// claim: handler-42
#[test]
fn logout_token_with_an_unknown_key_spares_young_keys() {
    let mut host = Host::signed_in();
    // Anyone can send such a token: nothing shows that the provider has issued it.
    let forged = Pair::generate().jwt(
        r#"{"alg":"ES256","kid":"forged","typ":"logout+jwt"}"#,
        &format!(r#"{{"iss":"{ISSUER}","aud":"web"}}"#),
    );
    for (pause, expected) in [(0, 1), (29, 1), (1, 2), (1, 2)] {
        host.pass(pause);
        assert_eq!(host.post_logout_token(&forged).status, 400);
        assert_eq!(fetches(&host), expected);
    }
    // Forged tokens do not delay the next login after a rotation.
    host.provider.rotate_key();
    assert_eq!(sign_in(&mut host), 303);
}
