//! A provider that refuses this client, for example because its secret has expired: one attempt every five seconds, for any
//! session, until it accepts the client again.

use edge::{Event, Level, OwnResponse};
use rules::Code;

use crate::browser::Browser;
use crate::host::{Host, header};
use crate::provider::json as reply;

/// Creates a host with this many sessions of one user, whose access tokens have expired.
fn expired(sessions: usize) -> (Host, Vec<Browser>) {
    let mut host = Host::new();
    let browsers = (0..sessions).map(|_| {
        host.sign_in();
        core::mem::take(&mut host.browser)
    });
    let browsers = browsers.collect();
    host.pass(600);
    host.provider.requests.clear();
    host.events.clear();
    (host, browsers)
}

/// Lets the provider refuse the next token requests with this error code.
fn refuse(host: &mut Host, times: usize, code: &str) {
    for _ in 0..times {
        let body = format!(r#"{{"error":"{code}"}}"#);
        host.provider
            .replies
            .push_back(("/token", Some(reply(401, &body))));
    }
}

/// Calls the API with the session of this browser. Returns the status and the error code.
fn call(host: &mut Host, browser: &mut Browser) -> (u16, String) {
    core::mem::swap(&mut host.browser, browser);
    let answered = host.call("GET", "/api/orders");
    core::mem::swap(&mut host.browser, browser);
    (answered.status(), answered.code())
}

/// Does the same, and returns the refusal.
#[track_caller]
fn refused(host: &mut Host, browser: &mut Browser) -> OwnResponse {
    core::mem::swap(&mut host.browser, browser);
    let response = host.call("GET", "/api/orders").own();
    core::mem::swap(&mut host.browser, browser);
    assert_eq!(
        (response.status, header(&response, "x-strongroom")),
        (503, Some("client_rejected"))
    );
    response
}

fn attempts(host: &Host) -> usize {
    host.provider.sent_to("/token").len()
}

/// Removes and returns the lines about the client.
fn lines(host: &mut Host) -> Vec<(Level, String)> {
    let events = host.events.drain(..);
    let lines = events.filter_map(|event| match event {
        Event::Fault(fault) if fault.error.code() == Code::ClientRejected => {
            Some((fault.level, fault.error.message().to_owned()))
        }
        _ => None,
    });
    lines.collect()
}

const ACCEPTED: &str = "the provider accepts this client again";

#[test]
fn one_attempt_in_five_seconds_whichever_session() {
    for code in ["invalid_client", "unauthorized_client"] {
        let (mut host, mut browsers) = expired(20);
        refuse(&mut host, 100, code);
        for round in 1..=4 {
            for left in [5, 4, 3, 2] {
                for browser in &mut browsers {
                    let response = refused(&mut host, browser);
                    let left = left.to_string();
                    assert_eq!(header(&response, "retry-after"), Some(&*left));
                }
                assert_eq!(attempts(&host), round, "{code}");
                host.pass(1);
            }
            host.pass(1);
        }
    }
}

#[test]
fn valid_access_token_is_used_while_the_client_is_refused() {
    let mut host = Host::signed_in();
    host.pass(595);
    refuse(&mut host, 5, "invalid_client");
    for _ in 0..3 {
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
    assert_eq!(host.faults(), [Code::ClientRejected]);
    assert_eq!(attempts(&host), 2, "one is the login's");
}

#[test]
fn first_accepted_refresh_ends_the_pause_of_all() {
    let (mut host, mut browsers) = expired(10);
    refuse(&mut host, 1, "invalid_client");
    refused(&mut host, &mut browsers[0]);
    refused(&mut host, &mut browsers[1]);
    let [(Level::Error, line)] = &lines(&mut host)[..] else {
        panic!("not one line");
    };
    assert!(line.contains("sessions are kept: invalid_client"), "{line}");
    host.pass(5);
    for browser in &mut browsers {
        assert_eq!(call(&mut host, browser).0, 200);
    }
    assert_eq!(lines(&mut host), [(Level::Info, ACCEPTED.to_owned())]);
}

#[test]
fn accepted_login_ends_the_pause_of_all() {
    let (mut host, mut browsers) = expired(2);
    refuse(&mut host, 1, "invalid_client");
    refused(&mut host, &mut browsers[0]);
    lines(&mut host);
    host.sign_in();
    assert_eq!(lines(&mut host), [(Level::Info, ACCEPTED.to_owned())]);
    assert_eq!(call(&mut host, &mut browsers[1]).0, 200);
    assert_eq!(call(&mut host, &mut browsers[0]).0, 200);
}

/// Anybody can come back with a code of their own choice, which some providers refuse as one of another client.
#[test]
fn refused_login_pauses_no_session() {
    let (mut host, mut browsers) = expired(1);
    let back = host.come_back("/auth/login");
    refuse(&mut host, 1, "invalid_client");
    assert_eq!(host.arrive(&back).status, 502);
    assert_eq!(call(&mut host, &mut browsers[0]).0, 200);
}

#[test]
fn login_is_not_paused() {
    let (mut host, mut browsers) = expired(1);
    refuse(&mut host, 2, "invalid_client");
    refused(&mut host, &mut browsers[0]);
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 502);
    assert_eq!(attempts(&host), 2);
    // Its refusal does not put off the next refresh.
    host.pass(5);
    assert_eq!(call(&mut host, &mut browsers[0]).0, 200);
}

/// Some providers refuse the client for the refresh token of one session only.
#[test]
fn session_that_alone_is_refused_again_pauses_only_itself() {
    let (mut host, mut browsers) = expired(3);
    refuse(&mut host, 1, "unauthorized_client");
    refused(&mut host, &mut browsers[0]);
    host.pass(5);
    assert_eq!(call(&mut host, &mut browsers[1]).0, 200);
    refuse(&mut host, 1, "unauthorized_client");
    let response = refused(&mut host, &mut browsers[0]);
    assert_eq!(header(&response, "retry-after"), Some("60"));
    assert_eq!(call(&mut host, &mut browsers[2]).0, 200);
    refused(&mut host, &mut browsers[0]);
    assert_eq!(attempts(&host), 4);
    host.pass(60);
    assert_eq!(call(&mut host, &mut browsers[0]).0, 200);
}

#[test]
fn refused_request_pauses_only_its_session() {
    for code in ["invalid_scope", "invalid_target"] {
        let (mut host, mut browsers) = expired(2);
        refuse(&mut host, 1, code);
        let response = refused(&mut host, &mut browsers[0]);
        assert_eq!(header(&response, "retry-after"), Some("60"));
        assert_eq!(call(&mut host, &mut browsers[1]).0, 200);
        let again = refused(&mut host, &mut browsers[0]);
        assert_eq!(header(&again, "retry-after"), Some("60"));
        assert_eq!(attempts(&host), 2);
    }
}

#[test]
fn client_that_is_refused_again_and_again_causes_two_lines_a_minute() {
    let (mut host, mut browsers) = expired(60);
    for browser in &mut browsers {
        refuse(&mut host, 1, "invalid_client");
        refused(&mut host, browser);
        host.pass(1);
        host.sign_in();
        core::mem::take(&mut host.browser);
    }
    let levels: Vec<_> = lines(&mut host).iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::Error, Level::Info]);
}
