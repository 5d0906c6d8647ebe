//! The minimal configuration: without an option, the vault refuses what the option would let pages do.

use std::collections::BTreeSet;
use std::time::Duration;

use kit::world::{Endpoint, Fault, Kind, PageResponse, World};
use rules::config::identity;
use vault::Input;

use crate::claims::{claims, object};

/// What a page tries, and the outcome without and with an option. An outcome is an error code, the status of a call, or
/// the kind of the response.
struct Row {
    /// The option, as in `src/vault/config/options.rs`.
    option: &'static str,
    /// The members of the page's message.
    message: &'static str,
    minimal: &'static str,
    configured: &'static str,
    /// The members of the configuration that allow the message.
    vault: &'static str,
    /// The members of the rule that allow the message.
    rule: &'static str,
}

const ROW: Row = Row {
    option: "",
    message: "",
    minimal: "",
    configured: "",
    vault: "",
    rule: "",
};

const ROWS: &[Row] = &[
    Row {
        option: "customLogin",
        message: r#""t":"login","mode":"custom""#,
        minimal: "unsupported",
        configured: "navigate",
        vault: r#""customLogin":true"#,
        ..ROW
    },
    Row {
        option: "customLogin",
        message: r#""t":"login","mode":"custom","port":4400"#,
        minimal: "unsupported",
        configured: "navigate",
        vault: r#""customLogin":true,"redirectUri":"http://127.0.0.1/callback""#,
        ..ROW
    },
    Row {
        option: "deviceFlow",
        message: r#""t":"login","mode":"device""#,
        minimal: "unsupported",
        configured: "device",
        vault: r#""deviceFlow":true"#,
        ..ROW
    },
    Row {
        option: "loginParams",
        message: r#""t":"login","mode":"popup","params":{"kc_idp_hint":"other"}"#,
        minimal: "message_invalid",
        configured: "navigate",
        vault: r#""loginParams":["kc_idp_hint"]"#,
        ..ROW
    },
    Row {
        option: "loginScopes",
        message: r#""t":"login","mode":"popup","scope":"orders:write""#,
        minimal: "message_invalid",
        configured: "navigate",
        vault: r#""loginScopes":["orders:write"]"#,
        ..ROW
    },
    Row {
        option: "initiateLoginUri",
        message: r#""t":"callback","url":"https://app.example.com/start?iss=https://id.example.com""#,
        minimal: "redirect_uri_mismatch",
        configured: "initiated",
        vault: r#""initiateLoginUri":"/start""#,
        ..ROW
    },
    Row {
        option: "responseMode",
        message: r#""t":"callback","url":"https://app.example.com/callback#code=a&state=b""#,
        minimal: "callback_invalid",
        configured: "login_unknown",
        vault: r#""responseMode":"fragment""#,
        ..ROW
    },
    Row {
        option: "inspect",
        message: r#""t":"inspect""#,
        minimal: "unsupported",
        configured: "inspection",
        vault: r#""inspect":true"#,
        ..ROW
    },
    Row {
        option: "idTokenHint",
        message: r#""t":"logout","provider":true"#,
        minimal: "done",
        configured: "done with an ID token",
        vault: r#""idTokenHint":true"#,
        ..ROW
    },
    Row {
        option: "apis[].url",
        message: r#""t":"fetch","url":"https://other.example.com/v1/a","method":"GET","headers":[]"#,
        minimal: "url_not_allowed",
        configured: "200",
        rule: r#"},{"url":"https://other.example.com/v1/""#,
        ..ROW
    },
    Row {
        option: "apis[].exact",
        message: r#""t":"fetch","url":"https://other.example.com/v1/me","method":"GET","headers":[]"#,
        minimal: "url_not_allowed",
        configured: "200",
        rule: r#"},{"url":"https://other.example.com/v1/me","exact":true"#,
        ..ROW
    },
    Row {
        option: "apis[].methods",
        message: r#""t":"fetch","url":"https://api.example.com/v1/a","method":"POST","headers":[]"#,
        minimal: "method_not_allowed",
        configured: "200",
        rule: r#""methods":["GET","POST"]"#,
        ..ROW
    },
    Row {
        option: "apis[].credentials",
        message: r#""t":"fetch","url":"https://api.example.com/v1/a","method":"GET","headers":[],"credentials":"include""#,
        minimal: "unsupported",
        configured: "200",
        rule: r#""credentials":"include""#,
        ..ROW
    },
    Row {
        option: "apis[].reflection",
        message: r#""t":"fetch","url":"https://api.example.com/v1/a","method":"GET","headers":[["range","bytes=0-1"]]"#,
        minimal: "header_not_allowed",
        configured: "200",
        rule: r#""reflection":"headers""#,
        ..ROW
    },
    Row {
        option: "apis[].media",
        message: r#""t":"fetch","media":true,"url":"/media/a","method":"GET","headers":[]"#,
        minimal: "url_not_allowed",
        configured: "200",
        rule: r#""reflection":"headers","media":"/media/""#,
        ..ROW
    },
    Row {
        option: "apis[].allowHeaders",
        message: r#""t":"fetch","url":"https://api.example.com/v1/a","method":"GET","headers":[["x-amzn-trace-id","a"]]"#,
        minimal: "header_not_allowed",
        configured: "200",
        rule: r#""allowHeaders":["x-amzn-trace-id"]"#,
        ..ROW
    },
    Row {
        option: "apis[].webSocket",
        message: r#""t":"socket","url":"wss://api.example.com/v1/live","protocols":[]"#,
        minimal: "url_not_allowed",
        configured: "socket",
        rule: r#""webSocket":{"token":"protocol"}"#,
        ..ROW
    },
    Row {
        option: "apis[].stepUp",
        message: r#""t":"fetch","url":"https://api.example.com/v1/demanding","method":"GET","headers":[]"#,
        minimal: "401",
        configured: "step_up_required",
        rule: r#""stepUp":true"#,
        ..ROW
    },
];

/// The options that show pages more of a session, each with what pages then see: the claims, and the reason of the end.
const SHOWN: &[(&str, &str)] = &[
    ("reasons", r#"{"sub":"alice"} revoked"#),
    (
        "userInfo",
        r#"{"sub":"alice","name":"Alice"} provider_ended"#,
    ),
];

/// The options that no message of a page depends on, or that only take something from pages.
const WITHOUT_MESSAGE: &[&str] = &[
    "accounts",
    "logout",
    // Each has a value in every configuration.
    "apis",
    "clientId",
    "issuer",
    "redirectUri",
    "scope",
    // Pages may do less with this option.
    "callbackPage",
    // The provider, the requests to it and its responses.
    "authorizationParams",
    "clockTolerance",
    "consent",
    "dpop",
    "idTokenSignedResponseAlg",
    "metadata",
    "par",
    "pinned",
    "refreshTimeout",
    "requestTimeout",
    "requireIss",
    "resource",
    "sameClaims",
    "accounts",
    "logout",
    "trustedAudiences",
    "unrequestedScopes",
    "identity",
    "identity.claims",
    "identity.from",
    "identity.sub",
    "identity.url",
    // The session: its limits, its place, and what pages see of it without asking.
    "claims",
    "session",
    "session.absolute",
    "session.idle",
    "session.persist",
    // A page cannot choose the token of a call.
    "apis[].audience",
    "apis[].resource",
    "apis[].scope",
    // The page's cache mode is not refused but replaced: `only_caching_rules_use_the_pages_cache_mode`.
    "apis[].cache",
    // This option refuses more.
    "apis[].denyHeaders",
];

/// Returns the outcome of the page's message with these members of the configuration and of its rule.
fn outcome(message: &str, vault: &str, rule: &str) -> String {
    let comma = |members: &str| {
        if members.is_empty() || members.starts_with('}') {
            ""
        } else {
            ","
        }
    };
    let changes = [
        r#"{"apis":[{"url":"https://api.example.com/v1/""#,
        comma(rule),
        rule,
        "}]",
        comma(vault),
        vault,
        "}",
    ];
    let mut world = World::with(&changes.concat());
    world.provider.knows_devices = true;
    let challenge = r#"Bearer error="insufficient_user_authentication""#;
    world.provider.api_demands = Some((401, challenge));
    let page = world.open();
    let is_of_login = message.contains(r#""t":"login""#) || message.contains(r#""t":"callback""#);
    if !is_of_login {
        world.sign_in(page);
    }
    let request = world.ask(page, message);
    world.answer_all();
    match world.response(request).unwrap() {
        PageResponse::Error { code, .. } => code.clone(),
        PageResponse::Head { status, .. } => status.to_string(),
        PageResponse::Done(Some(url)) if url.contains("id_token_hint") => {
            "done with an ID token".to_owned()
        }
        PageResponse::Done(_) => "done".to_owned(),
        PageResponse::Navigate(_) => "navigate".to_owned(),
        PageResponse::Device { .. } => "device".to_owned(),
        PageResponse::Initiated { .. } => "initiated".to_owned(),
        PageResponse::Inspection(_) => "inspection".to_owned(),
        PageResponse::Socket { .. } => "socket".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn minimal_configuration_refuses_what_options_allow() {
    for row in ROWS {
        let outcomes = [
            outcome(row.message, "", ""),
            outcome(row.message, row.vault, row.rule),
        ];
        let expected = [row.minimal, row.configured];
        assert_eq!(outcomes, expected, "{}: {}", row.option, row.message);
    }
}

/// Returns what a page sees of a session that the provider ends, with this configuration.
fn shown(config: &str) -> String {
    let mut world = World::with(config);
    world.provider.name = None;
    world.provider.more_profile = object(r#"{"name":"Alice"}"#);
    let page = world.open();
    world.sign_in(page);
    let claims = claims(&world, page);
    let refusal = Fault::RefusedSaying("Refresh Token has been revoked");
    world.provider.fault(Endpoint::Refresh, &[refusal]);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    format!("{claims} {}", world.reason(page).unwrap())
}

#[test]
fn minimal_configuration_shows_no_more_of_a_session() {
    assert_eq!(shown("{}"), r#"{"sub":"alice"} provider_ended"#);
    for (option, expected) in SHOWN {
        assert_eq!(shown(&format!(r#"{{"{option}":true}}"#)), *expected);
    }
}

/// Returns the names of all options, with their paths.
fn all_options() -> BTreeSet<String> {
    let source = include_str!("../../src/vault/config/options.rs");
    let (_, lists) = source.split_once("\noptions! {").unwrap();
    let mut path = "";
    let mut names = BTreeSet::new();
    for line in lists.lines().map(str::trim) {
        match line.split('"').collect::<Vec<_>>()[..] {
            [_, name, ";"] => drop(names.insert([path, name].concat())),
            [_, list, " {"] => path = list,
            _ => {}
        }
    }
    names.extend(
        identity::OPTIONS
            .iter()
            .map(|name| ["identity.", name].concat()),
    );
    names
}

#[test]
fn each_option_is_tried_or_has_no_message() {
    let tried = ROWS.iter().map(|row| row.option);
    let decided: BTreeSet<String> = tried
        .chain(SHOWN.iter().map(|(option, _)| *option))
        .chain(WITHOUT_MESSAGE.iter().copied())
        .map(str::to_owned)
        .collect();
    assert_eq!(all_options(), decided);
}

#[test]
fn session_in_memory_uses_no_store() {
    for (config, is_stored) in [("{}", false), (r#"{"session":{"persist":"sealed"}}"#, true)] {
        let (mut world, page) = World::signed_in_with(config);
        world.input(Input::Changed);
        world.answer_all();
        world.advance(Duration::from_secs(60));
        world.fetch(page, "/orders");
        world.answer_all();
        for kind in [Kind::Load, Kind::Lock, Kind::Persist] {
            assert_eq!(world.count(kind) > 0, is_stored, "{kind:?} with {config}");
        }
    }
}
