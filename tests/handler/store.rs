//! Tests of sessions in the coordinator's store, to which other isolates write at the same time.

use edge::Reply;
use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{Answered, COOKIE, Host};

fn in_store() -> Value {
    json!({ "session": { "storage": "in-store" } })
}

/// Creates a session in a cookie. The isolate then restarts, and now stores sessions in the coordinator. The user's
/// activity is due, so the next response moves the session.
fn moving() -> Host {
    let mut host = Host::signed_in();
    host.restart(&in_store());
    host.pass(60);
    host
}

/// Lets another isolate move the session to the store.
fn move_elsewhere(host: &mut Host) {
    let request = host.by_script("GET", "/api/orders");
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
}

/// Lets another isolate write all records.
fn write_elsewhere(host: &mut Host) {
    for entry in host.store.values_mut() {
        entry.version.push('x');
    }
}

/// Returns the number of cookies in the response to a call.
fn cookies_of_call(host: &mut Host) -> usize {
    let answered = host.call("GET", "/api/orders");
    assert!(matches!(answered, Answered::Passed { .. }), "{answered:?}");
    answered.cookies().len()
}

#[test]
fn two_isolates_may_move_a_session() {
    let mut host = moving();
    host.before_write = Some(move_elsewhere);
    assert_eq!(cookies_of_call(&mut host), 1);
    assert!(host.browser.get(COOKIE).unwrap().value.len() < 200);
    assert!(host.session().is_object());
}

#[test]
fn session_stays_in_its_cookie_if_moving_fails() {
    let mut host = moving();
    host.before_write = Some(|host| {
        move_elsewhere(host);
        host.failing = vec!["Read"];
    });
    assert_eq!(cookies_of_call(&mut host), 1);
    assert!(host.browser.get(COOKIE).unwrap().value.len() > 200);
}

#[test]
fn session_in_the_store_is_not_moved_again() {
    let mut host = moving();
    move_elsewhere(&mut host);
    host.effects.clear();
    assert_eq!(cookies_of_call(&mut host), 1);
    assert_eq!(host.count("Swap"), 0);
}

#[test]
fn activity_in_the_store_sets_no_cookie() {
    let mut host = Host::signed_in_with(&in_store());
    host.pass(60);
    assert_eq!(cookies_of_call(&mut host), 0);
    assert_eq!(host.count("Swap"), 2);
}

#[test]
fn activity_is_written_despite_other_writes() {
    let mut host = Host::signed_in_with(&in_store());
    host.pass(60);
    host.before_write = Some(write_elsewhere);
    assert_eq!(cookies_of_call(&mut host), 0);
    let now = host.now.wall;
    host.restart(&json!({}));
    assert_eq!(host.session()["idleExpiresAt"], now + 1_800_000);
}

#[test]
fn activity_is_given_up_after_three_refused_writes() {
    let mut host = Host::signed_in_with(&in_store());
    host.pass(60);
    for _ in 0..1000 {
        let reply = Reply::Swapped(None);
        host.wrong_replies.push_back(("Swap", reply));
    }
    host.effects.clear();
    assert_eq!(cookies_of_call(&mut host), 0);
    assert_eq!(host.count("Swap"), 3);
}

#[test]
fn activity_is_given_up_if_its_record_cannot_be_read() {
    let mut host = Host::signed_in_with(&in_store());
    host.pass(60);
    host.before_write = Some(|host| {
        write_elsewhere(host);
        host.failing = vec!["Read"];
    });
    host.effects.clear();
    assert_eq!(cookies_of_call(&mut host), 0);
    assert_eq!(host.count("Swap"), 1);
}

#[test]
fn store_that_omits_entries_counts_as_down() {
    let mut host = Host::signed_in_with(&in_store());
    host.restart(&json!({}));
    let reply = Reply::Entries {
        entries: Vec::new(),
        time: None,
    };
    host.wrong_replies.push_back(("Read", reply));
    let answered = host.call("GET", "/api/orders");
    assert_eq!(
        (answered.status(), &*answered.code()),
        (503, "coordinator_unavailable")
    );
    host.pass(1);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
}

#[test]
fn store_that_refuses_every_write_is_not_asked_without_end() {
    for (refused, status, written) in [(19, 200, 21), (1000, 503, 20)] {
        let mut host = Host::signed_in();
        host.pass(600);
        for _ in 0..refused {
            let reply = Reply::Swapped(None);
            host.wrong_replies.push_back(("Swap", reply));
        }
        let answered = host.call("GET", "/api/orders");
        assert_eq!(answered.status(), status, "{answered:?}");
        assert_eq!(host.count("Swap"), written);
        if status == 503 {
            assert_eq!(answered.code(), "coordinator_unavailable");
            let events = format!("{:?}", host.events);
            assert!(events.contains("refused 20 writes"), "{events}");
        }
    }
}

#[test]
fn coordinator_that_does_not_wait_is_asked_at_intervals() {
    let mut host = Host::signed_in();
    host.pass(600);
    // The refresh of another isolate stops after its intent was written.
    host.before_write = Some(|host| host.failing = vec!["Swap", "Send"]);
    let request = host.by_script("GET", "/api/orders");
    assert_eq!(host.request_to_other_isolate(request).status(), 503);
    host.failing.clear();
    for _ in 0..1000 {
        host.wrong_replies.push_back(("Wait", Reply::Noticed));
    }
    host.effects.clear();
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert!((2..100).contains(&host.count("Wait")));
}

#[test]
fn stored_session_outlasts_a_coordinator_failure() {
    let mut host = Host::signed_in_with(&in_store());
    host.restart(&in_store());
    host.effects.clear();
    host.failing = vec!["Read"];
    // The second call does not ask the coordinator, because the first call failed a moment ago.
    for _ in 0..2 {
        let answered = host.call("GET", "/api/orders");
        assert_eq!(
            (answered.status(), &*answered.code()),
            (503, "coordinator_unavailable")
        );
    }
    assert_eq!(host.count("Read"), 1);
    host.failing.clear();
    host.pass(1);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
}

#[test]
fn lost_record_is_not_read_at_each_request() {
    let mut host = Host::signed_in_with(&in_store());
    host.restart(&in_store());
    host.store.clear();
    let request = host.by_script("GET", "/api/orders");
    // The first request reads twice: its cached record may be older than the request.
    for reads in [2, 0, 0] {
        host.effects.clear();
        let answered = host.request_elsewhere(request.clone());
        assert_eq!(answered.code(), "session_ended");
        assert_eq!(host.count("Read"), reads);
    }
    host.pass(60);
    host.effects.clear();
    host.request_elsewhere(request);
    assert_eq!(host.count("Read"), 1);
}

#[test]
fn longest_session_fits_the_smallest_store() {
    let with_padding = |length: usize| {
        let mut host = Host::with(&in_store());
        host.provider
            .state(&format!(r#""padding":"{}""#, "x".repeat(11_000)));
        host.provider.padding = "x".repeat(length);
        let back = host.come_back("/auth/login");
        host.come_in(&back);
        host
    };
    let (mut fits, mut too_long) = (14_000, 16_000);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if with_padding(middle).store.is_empty() {
            too_long = middle;
        } else {
            fits = middle;
        }
    }
    let host = with_padding(fits);
    let length = host.store.values().next().unwrap().value.len();
    // The handler's estimate of a record's size is 53 bytes too high.
    assert_eq!(length, 60 * 1024 - 53);
}

#[test]
fn text_sealed_with_another_nonce_is_refused() {
    let mut host = Host::new();
    let sealed = Reply::Sealed(vec![0; 64]);
    host.wrong_replies.push_back(("Seal", sealed));
    assert_eq!(host.go("/auth/login", Source::App).status(), 500);
    assert_eq!(host.faults(), [Code::Unsupported, Code::Unsupported]);
    assert!(host.browser.0.is_empty());
}
