//! One ID of a request is in the log, in the response, and in the request to the upstream.

use edge::{Event, Fault};

use crate::browser::Source;
use crate::host::{Answered, Host, header, json_of};

const ID: &str = "7f3e2a";

fn logged(host: &Host) -> Vec<Option<String>> {
    let faults = host.events.iter().filter_map(|event| match event {
        Event::Fault(Fault { about, .. }) => Some(about.request_id.as_deref().map(str::to_owned)),
        _ => None,
    });
    faults.collect()
}

#[test]
fn upstream_gets_the_id() {
    let mut host = Host::signed_in();
    let mut request = host.by_script("GET", "/api/orders");
    request.request_id = Some(ID.to_owned());
    host.request(request);
    assert_eq!(host.upstream.last().unwrap().request_id, ID);
    // Each request without an ID gets its own.
    host.call("GET", "/api/orders");
    host.call("GET", "/api/orders");
    let [.., first, second] = &host.upstream[..] else {
        panic!("no requests");
    };
    assert_eq!(first.request_id.len(), 32);
    assert_ne!(first.request_id, second.request_id);
}

#[test]
fn malformed_id_is_replaced() {
    let mut host = Host::signed_in();
    let mut request = host.by_script("GET", "/api/orders");
    request.request_id = Some("<script>".to_owned());
    host.request(request);
    assert_eq!(host.upstream.last().unwrap().request_id.len(), 32);
}

#[test]
fn error_has_the_id_of_the_log() {
    let mut host = Host::signed_in();
    host.failing.push("Forward");
    let mut request = host.by_script("GET", "/api/orders");
    request.request_id = Some(ID.to_owned());
    let response = host.request(request).own();
    assert_eq!(response.status, 502);
    assert_eq!(json_of(&response)["error"]["requestId"], ID);
    assert_eq!(header(&response, "x-request-id"), Some(ID));
    assert_eq!(logged(&host), [Some(ID.to_owned())]);
}

#[test]
fn error_page_shows_the_id_of_the_log() {
    let mut host = Host::new();
    let mut request = host.navigation("/auth/callback?code=a&state=b", Source::CrossSite);
    request.request_id = Some(ID.to_owned());
    let Answered::Own(page) = host.request(request) else {
        panic!("no page");
    };
    let (_, html) = page.body.as_ref().unwrap();
    assert!(html.contains(&format!("Request {ID}")), "{html}");
    assert_eq!(logged(&host), [Some(ID.to_owned())]);
}

#[test]
fn response_without_an_error_has_no_id() {
    let mut host = Host::new();
    let response = host.go("/auth/login", Source::App).own();
    assert_eq!(header(&response, "x-request-id"), None);
}
