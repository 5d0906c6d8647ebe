//! Tests of the handler's documents and headers for the client in the page: the URLs of routes, the page that closes a
//! popup, the header that marks the handler's own errors, and an API's demands for another login.

use edge::{Config, Head};
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{Answered, Host, configuration, header, json_of};
use crate::request_headers::is_matched;

const API: &str = "https://api.example.com/v1/";

fn routes(more: &Value) -> Value {
    let mut route = json!({ "prefix": "/api/", "upstream": "https://internal.example.com/", "methods": ["GET"] });
    let members = more.as_object().unwrap().clone();
    route.as_object_mut().unwrap().extend(members);
    json!({ "routes": [route, { "prefix": "/more/", "upstream": "https://more.example.com/" }] })
}

#[test]
fn page_config_lists_route_urls_without_upstreams() {
    let mut host = Host::with(&routes(&json!({ "url": API })));
    let response = host.call("GET", "/auth/config").own();
    assert_eq!(
        (response.status, json_of(&response)),
        (
            200,
            json!({ "base": "/auth", "notice": 60_000, "routes": [{ "url": API, "prefix": "/api/" }] })
        )
    );
}

#[test]
fn page_config_has_every_url() {
    let mut config = routes(&json!({ "url": API }));
    config["routes"][1]["url"] = json!("https://more.example.com/");
    let mut host = Host::with(&config);
    let told = json_of(&host.call("GET", "/auth/config").own());
    let routes = told["routes"].as_array().unwrap();
    let prefixes: Vec<_> = routes.iter().map(|route| &route["prefix"]).collect();
    assert_eq!(prefixes, ["/api/", "/more/"]);
}

#[test]
fn only_app_script_gets_page_config() {
    let mut host = Host::with(&routes(&json!({ "url": API })));
    let request = host.navigation("/auth/config", Source::CrossSite);
    let answered = host.request(request);
    assert_eq!(answered.status(), 403);
    assert_eq!(answered.code(), "cross_site_request");
}

#[test]
fn route_url_is_absolute_and_ends_in_slash() {
    for url in [
        json!("/v1/"),
        json!("https://api.example.com/v1"),
        json!("https://api.example.com/v1/?a=b"),
        json!("https://api.example.com/v1/#a"),
        json!("https://ann@api.example.com/v1/"),
        json!("ftp://api.example.com/v1/"),
        json!("wss://api.example.com/v1/"),
        json!(1),
    ] {
        let config = configuration(&routes(&json!({ "url": url })));
        let error = Config::parse(&config.to_string()).unwrap_err();
        assert!(
            error.message().contains("`routes[0].url`"),
            "{url}: {error}"
        );
    }
    let mut twice = routes(&json!({ "url": API }));
    twice["routes"][1]["url"] = json!("https://API.example.com:443/v1/");
    let error = Config::parse(&configuration(&twice).to_string()).unwrap_err();
    assert!(
        error.message().contains("another route has the same"),
        "{error}"
    );
}

#[test]
fn popup_page_runs_only_its_script() {
    let mut host = Host::new();
    let response = host.go("/auth/popup", Source::CrossSite).own();
    assert_eq!(response.status, 200);
    let policy = header(&response, "content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    // Script cannot fetch the popup page.
    assert_eq!(host.call("GET", "/auth/popup").status(), 403);
}

#[test]
fn login_may_return_to_popup_page() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login?returnTo=%2Fauth%2Fpopup");
    let response = host.arrive(&back);
    assert_eq!(header(&response, "location"), Some("/auth/popup"));
}

#[test]
fn own_errors_are_marked_by_header() {
    let mut host = Host::new();
    let response = host.call("GET", "/api/orders").own();
    assert_eq!(header(&response, "x-strongroom"), Some("login_required"));
    let policy: Value = serde_json::from_str(&edge::policy()).unwrap();
    let removed = policy["response"].as_str().unwrap();
    assert!(is_matched(removed, "x-strongroom"));
}

#[test]
fn ended_session_has_reason() {
    let mut host = Host::signed_in();
    host.pass(1801);
    let response = host.call("GET", "/api/orders").own();
    assert_eq!(json_of(&response)["error"]["code"], "session_ended");
    assert_eq!(json_of(&response)["error"]["reason"], "idle");
}

fn challenged(host: &mut Host, status: u16, challenge: &str) -> Answered {
    // After this time the access token is old enough to be refreshed.
    host.pass(60);
    host.heads.push_back(Head {
        status,
        challenge: Some(challenge.to_owned()),
        ..Head::default()
    });
    host.call("GET", "/api/orders")
}

#[test]
fn step_up_demand_causes_no_refresh() {
    let mut host = Host::signed_in_with(&routes(&json!({ "stepUp": true })));
    let demand =
        r#"Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="0""#;
    let response = challenged(&mut host, 401, demand).own();
    assert_eq!(response.status, 401);
    let error = &json_of(&response)["error"];
    assert_eq!(error["code"], "step_up_required");
    assert_eq!(error["login"], json!({ "acrValues": "mfa", "maxAge": 0 }));
    assert_eq!(host.upstream.len(), 1);
    // The new cookie records the user's activity.
    assert_eq!(response.cookies.len(), 1);
}

#[test]
fn demand_for_more_scope_offers_no_login() {
    let mut host = Host::signed_in_with(&routes(&json!({ "stepUp": true })));
    let demand = r#"Bearer error="insufficient_scope", scope="orders.write""#;
    let response = challenged(&mut host, 403, demand).own();
    let error = &json_of(&response)["error"];
    assert_eq!(error["code"], "insufficient_scope");
    assert!(error["message"].as_str().unwrap().ends_with("orders.write"));
    assert_eq!(error["login"], Value::Null);
}

// claim: handler-33
#[test]
fn demand_that_contains_token_is_hidden() {
    let mut host = Host::signed_in_with(&routes(&json!({ "stepUp": true })));
    host.call("GET", "/api/orders");
    let authorization = host.upstream.last().unwrap().authorization.clone();
    let token = authorization.strip_prefix("Bearer ").unwrap();
    let demand = format!(r#"Bearer error="insufficient_scope", scope="{token}""#);
    // The handler forwards the response. The host, which searches headers for the token, then rejects it.
    let answered = challenged(&mut host, 403, &demand);
    assert!(matches!(answered, Answered::Passed { .. }), "{answered:?}");
}

#[test]
fn route_without_step_up_passes_demand() {
    let mut host = Host::signed_in_with(&routes(&json!({})));
    let demand = r#"Bearer error="insufficient_scope""#;
    let Answered::Passed { head, .. } = challenged(&mut host, 403, demand) else {
        panic!("not passed on");
    };
    assert_eq!(head.challenge.as_deref(), Some(demand));
}
