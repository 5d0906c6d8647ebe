//! Logins that begin and never come back, as with a redirect URI that the provider does not know.

use edge::{Event, Level};
use rules::Code;

use crate::browser::{Browser, Source};
use crate::host::Host;

/// Removes and returns the number of lines about logins that do not come back.
fn lines(host: &mut Host) -> usize {
    let events = host.events.drain(..);
    let lines = events.filter(|event| match event {
        Event::Fault(fault) if fault.error.message().contains("come back") => {
            assert_eq!(
                (fault.level, fault.error.code()),
                (Level::Warn, Code::LoginFailed)
            );
            true
        }
        _ => false,
    });
    lines.count()
}

/// Begins this many logins, one every `seconds`, each in another browser.
fn begin(host: &mut Host, logins: usize, seconds: u64) {
    for _ in 0..logins {
        host.begin_login("/auth/login");
        host.browser = Browser::default();
        host.pass(seconds);
    }
}

#[test]
fn twenty_first_login_that_does_not_come_back_logs_a_line() {
    let mut host = Host::new();
    begin(&mut host, 20, 31);
    assert_eq!(
        lines(&mut host),
        0,
        "ten minutes have not passed at the last one"
    );
    begin(&mut host, 1, 1);
    assert_eq!(lines(&mut host), 1);
}

#[test]
fn many_logins_in_a_short_time_log_no_line() {
    let mut host = Host::new();
    begin(&mut host, 500, 1);
    assert_eq!(lines(&mut host), 0);
}

#[test]
fn twenty_logins_in_a_long_time_log_no_line() {
    let mut host = Host::new();
    begin(&mut host, 20, 3600);
    assert_eq!(lines(&mut host), 0);
}

#[test]
fn login_that_comes_back_begins_the_count_again() {
    for back in [
        "",
        "/auth/callback?error=access_denied&state=x",
        "/auth/callback",
    ] {
        let mut host = Host::new();
        begin(&mut host, 19, 60);
        match back {
            "" => host.sign_in(),
            back => {
                host.go(back, Source::CrossSite);
            }
        }
        begin(&mut host, 19, 60);
        assert_eq!(lines(&mut host), 0, "{back}");
        begin(&mut host, 2, 1);
        assert_eq!(lines(&mut host), 1, "{back}");
    }
}

#[test]
fn form_of_the_provider_comes_back_too() {
    let mut host = Host::new();
    begin(&mut host, 20, 60);
    let mut request = host.navigation("/auth/callback", Source::CrossSite);
    request.method = "POST".to_owned();
    host.request_elsewhere(request);
    begin(&mut host, 1, 1);
    assert_eq!(lines(&mut host), 0);
}

#[test]
fn line_comes_once_an_hour() {
    let mut host = Host::new();
    begin(&mut host, 60, 60);
    assert_eq!(lines(&mut host), 1);
    begin(&mut host, 60, 60);
    assert_eq!(lines(&mut host), 1);
}
