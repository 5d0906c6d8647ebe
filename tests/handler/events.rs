//! An observer can count what happens: logins, refreshes, refused requests, sessions, and calls to the coordinator.

use edge::{CallResult, Event, Happened, Observation, RefreshResult, Reply, Server};
use rules::Code;
use rules::session::EndReason;
use serde_json::json;

use crate::browser::Source;
use crate::host::{COOKIE, Host, KEYS};
use crate::provider;

/// Removes and returns the observed events, without those about the coordinator.
fn observed(host: &mut Host) -> Vec<Observation> {
    let is_call =
        |observation: &Observation| matches!(observation.happened, Happened::Coordinator { .. });
    let events = host.events.drain(..).filter_map(|event| match event {
        Event::Observed(observation) if !is_call(&observation) => Some(observation),
        _ => None,
    });
    events.collect()
}

/// Removes and returns what happened, without the calls of the coordinator.
fn happened(host: &mut Host) -> Vec<Happened> {
    let all = observed(host).into_iter();
    all.map(|observation| observation.happened).collect()
}

/// Returns only the beginnings and ends of outages.
fn outages(mut all: Vec<Happened>) -> Vec<Happened> {
    all.retain(|happened| {
        matches!(
            happened,
            Happened::OutageBegan { .. } | Happened::OutageEnded { .. }
        )
    });
    all
}

#[test]
fn login_and_its_session_are_events() {
    let mut host = Host::new();
    host.latency = 1;
    host.sign_in();
    let events = observed(&mut host);
    let [login, began, callback] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(
        matches!(&login.happened, Happened::Login { code: None, duration } if duration.as_secs() >= 1),
        "{login:?}"
    );
    assert_eq!(began.happened, Happened::SessionBegan);
    assert!(
        matches!(&callback.happened, Happened::Callback { code: None, duration } if duration.as_secs() >= 1),
        "{callback:?}"
    );
    assert_eq!(began.about.request_id, callback.about.request_id);
    assert_ne!(login.about.request_id, callback.about.request_id);
}

#[test]
fn failed_logins_are_events_with_a_code() {
    let mut host = Host::new();
    host.failing.push("Send");
    host.go("/auth/login", Source::App);
    host.failing.clear();
    // A response that belongs to no login is no event about a login.
    host.go("/auth/callback?code=a&state=b", Source::CrossSite);
    let back = host.come_back("/auth/login");
    let refused = provider::json(400, r#"{"error":"invalid_grant"}"#);
    host.provider.replies.push_back(("/token", Some(refused)));
    host.come_in(&back);
    let codes: Vec<_> = happened(&mut host)
        .into_iter()
        .filter_map(|happened| match happened {
            Happened::Login { code, .. } => Some(("login", code)),
            Happened::Callback { code, .. } => Some(("callback", code)),
            _ => None,
        })
        .collect();
    let failed = Some(Code::ProviderUnavailable);
    let rejected = Some(Code::CodeRejected);
    assert_eq!(
        codes,
        [("login", failed), ("login", None), ("callback", rejected)]
    );
}

#[test]
fn refresh_is_an_event_with_the_providers_status() {
    for (status, result, code) in [
        (200, RefreshResult::Renewed, None),
        (400, RefreshResult::Ended, None),
        (500, RefreshResult::Failed, Some(Code::ProviderUnavailable)),
    ] {
        let mut host = Host::signed_in();
        let failed = match status {
            400 => Some(r#"{"error":"invalid_grant"}"#),
            500 => Some(""),
            _ => None,
        };
        for _ in 0..3 {
            let reply = failed.map(|body| ("/token", Some(provider::json(status, body))));
            host.provider.replies.extend(reply);
        }
        observed(&mut host);
        host.pass(600);
        host.call("GET", "/api/orders");
        let all = happened(&mut host);
        let refreshes: Vec<_> = all
            .iter()
            .filter_map(|happened| match happened {
                Happened::Refresh {
                    result,
                    status,
                    code,
                    ..
                } => Some((*result, *status, *code)),
                _ => None,
            })
            .collect();
        assert_eq!(refreshes, [(result, Some(status), code)], "{all:?}");
    }
}

#[test]
fn refused_requests_are_counted_once_a_second() {
    let mut host = Host::new();
    for _ in 0..100 {
        let request = host.by_script("GET", "/api/orders");
        host.request_elsewhere(request);
    }
    let refused = |count| Happened::Refused {
        code: Code::LoginRequired,
        status: 401,
        count,
    };
    assert_eq!(happened(&mut host), [refused(1)]);
    host.pass(1);
    let now = host.now;
    host.handler.tick(now);
    assert_eq!(host.handler.poll_event().map(kind), Some(refused(99)));
    assert_eq!(host.handler.poll_event(), None);
}

fn kind(event: Event) -> Happened {
    match event {
        Event::Observed(observation) => observation.happened,
        other => panic!("{other:?}"),
    }
}

#[test]
fn session_has_a_public_id_that_is_not_its_own() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    let began = observed(&mut host);
    let id = began.iter().find_map(|event| event.about.session.clone());
    let id = id.expect("a session");
    host.pass(600);
    host.call("GET", "/api/orders");
    host.call("POST", "/auth/logout");
    let events = observed(&mut host);
    for event in &events {
        if event.about.session.is_some() {
            assert_eq!(event.about.session.as_ref(), Some(&id), "{event:?}");
        }
    }
    let ended = Happened::SessionEnded(EndReason::LoggedOut);
    assert!(
        events.iter().any(|event| event.happened == ended),
        "{events:?}"
    );
    // An operator finds the session's entry by it.
    let prefix = format!("session.{id}");
    assert!(host.store.keys().any(|key| key.starts_with(&prefix)));
    // The cookie's content is another value.
    assert!(host.sealed.iter().all(|(_, plain)| !plain.contains(&id)));
}

#[test]
fn calls_to_the_coordinator_are_events() {
    let calls = |host: &mut Host| -> Vec<(&'static str, CallResult)> {
        let events = host.events.drain(..).filter_map(|event| match event {
            Event::Observed(Observation {
                happened:
                    Happened::Coordinator {
                        operation, result, ..
                    },
                ..
            }) => Some((operation, result)),
            _ => None,
        });
        events.collect()
    };
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    let all = calls(&mut host);
    assert!(all.contains(&("read", CallResult::Done)), "{all:?}");
    assert!(all.contains(&("swap", CallResult::Done)), "{all:?}");
    host.pass(600);
    host.before_write = Some(|host| {
        for entry in host.store.values_mut() {
            entry.version.push('x');
        }
    });
    host.call("GET", "/api/orders");
    let all = calls(&mut host);
    assert!(all.contains(&("swap", CallResult::Conflict)), "{all:?}");
    host.pass(60);
    host.failing.push("Read");
    host.call("GET", "/api/orders");
    let all = calls(&mut host);
    assert!(all.contains(&("read", CallResult::Failed)), "{all:?}");
}

#[test]
fn outage_of_the_coordinator_begins_and_ends() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    observed(&mut host);
    host.failing.extend(["Read", "Swap"]);
    for _ in 0..5 {
        host.pass(20);
        host.call("GET", "/api/orders");
    }
    host.failing.clear();
    host.pass(20);
    host.call("GET", "/api/orders");
    let outages = outages(happened(&mut host));
    let [
        Happened::OutageBegan { server, .. },
        Happened::OutageEnded {
            server: same,
            duration,
            ..
        },
    ] = &outages[..]
    else {
        panic!("{outages:?}");
    };
    assert_eq!((server, same), (&Server::Coordinator, &Server::Coordinator));
    assert_eq!(duration.as_secs(), 100);
}

#[test]
fn clock_that_differs_is_one_event_an_hour() {
    let mut host = Host::new();
    for _ in 0..90 {
        let back = host.come_back("/auth/login");
        let mut refused = provider::json(400, r#"{"error":"invalid_grant"}"#);
        refused.date = Some(host.now.wall - 7_500);
        host.provider.replies.push_back(("/token", Some(refused)));
        host.arrive(&back);
        host.pass(60);
    }
    let mut all = happened(&mut host);
    all.retain(|happened| matches!(happened, Happened::ClockDiffers { .. }));
    let differs = Happened::ClockDiffers {
        server: Server::Provider,
        seconds: 7,
    };
    assert_eq!(all, [differs.clone(), differs]);
}

#[test]
fn replaced_cookie_is_a_refused_copy() {
    let mut host = Host::signed_in();
    let copy = host.browser.get(COOKIE).unwrap().value.clone();
    host.pass(600);
    host.call("GET", "/api/orders");
    host.call("GET", "/api/orders");
    host.pass(100);
    host.call("GET", "/api/orders");
    observed(&mut host);
    let mut request = host.by_script("GET", "/api/orders");
    request.cookie = Some(format!("{COOKIE}={copy}"));
    host.request_elsewhere(request);
    let all = happened(&mut host);
    let refused = Happened::CopyRefused(Code::SessionReplayed);
    assert!(all.contains(&refused), "{all:?}");
}

#[test]
fn handler_without_an_observer_emits_no_such_event() {
    let mut host = Host::new();
    host.restart_unobserved();
    host.sign_in();
    let request = host.by_script("GET", "/api/unknown/%00");
    host.request_elsewhere(request);
    assert!(observed(&mut host).is_empty());
}

#[test]
fn failed_refresh_names_the_server_that_failed() {
    let mut host = Host::signed_in();
    observed(&mut host);
    host.pass(600);
    host.failing.push("Swap");
    host.call("GET", "/api/orders");
    let all = happened(&mut host);
    let code = all.iter().find_map(|happened| match happened {
        Happened::Refresh { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(code, Some(Some(Code::CoordinatorUnavailable)), "{all:?}");
}

#[test]
fn requests_that_begin_no_login_are_no_login_events() {
    let mut host = Host::new();
    let mut posted = host.navigation("/auth/callback", Source::CrossSite);
    posted.method = "POST".to_owned();
    let scripts = ["/auth/login", "/auth/callback"].map(|path| host.by_script("GET", path));
    for request in scripts.into_iter().chain([posted]) {
        host.request_elsewhere(request);
    }
    let all = happened(&mut host);
    let is_login = |happened: &Happened| {
        matches!(happened, Happened::Login { .. } | Happened::Callback { .. })
    };
    assert!(!all.iter().any(is_login), "{all:?}");
}

/// Another site, such as the provider's portal, leads to the login.
#[test]
fn link_to_the_login_of_a_signed_in_user_emits_no_event() {
    let mut host = Host::signed_in();
    observed(&mut host);
    let url = ["/auth/login?iss=", provider::ISSUER].concat();
    let answered = host.go(&url, Source::App).own();
    assert_eq!(crate::host::location(&answered), "/");
    assert!(happened(&mut host).is_empty());
}

#[test]
fn login_that_is_repeated_on_a_page_is_one_event() {
    let mut host =
        Host::signed_in_with(&json!({ "cookie": { "keys": [KEYS[0]], "sameSite": "strict" } }));
    let all = happened(&mut host);
    let callbacks = all
        .iter()
        .filter(|happened| matches!(happened, Happened::Callback { .. }));
    assert_eq!(callbacks.count(), 1, "{all:?}");
}

#[test]
fn store_that_only_reads_is_down_until_it_takes_a_write() {
    let mut host = Host::signed_in();
    observed(&mut host);
    host.failing.push("Swap");
    host.pass(600);
    for _ in 0..5 {
        host.pass(20);
        host.call("GET", "/api/orders");
    }
    host.failing.clear();
    host.pass(60);
    host.call("GET", "/api/orders");
    let outages = outages(happened(&mut host));
    assert_eq!(outages.len(), 2, "{outages:?}");
}

// claim: handler-61
#[test]
fn cause_is_logged_only_as_printable_lines() {
    let api = "no response from https://api.example.com/v1/";
    let too_long = format!("\n{}", "x".repeat(201));
    for (cause, shown) in [
        ("a\rb", ""),
        ("caf\u{e9}", ""),
        (&"x".repeat(121), ""),
        ("\na\nb", ""),
        (&too_long, ""),
        ("ECONNRESET", ": ECONNRESET"),
        ("\nTypeError: a", ": TypeError: a"),
    ] {
        let mut host = Host::signed_in();
        host.wrong_replies
            .push_back(("Forward", Reply::Failed(cause.to_owned())));
        host.call("GET", "/api/orders");
        let messages = host.fault_messages();
        assert_eq!(messages, [format!("{api}{shown}")]);
    }
}
