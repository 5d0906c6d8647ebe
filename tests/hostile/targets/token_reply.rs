//! Checks responses of the token endpoint. Every member of an accepted response must be valid, only `invalid_grant` may
//! end a session, and messages must not quote the response.

use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::{HttpReply, Outcome};
use rules::oauth::refresh_policy::{RefreshOutcome, classify};
use rules::oauth::token_endpoint::{
    self, MAX_LIFETIME, MAX_TOKEN, Scheme, TokenResponse, TokenSet, UNLIMITED,
};

/// Takes a line with the status, an optional `Retry-After`, and the `Content-Type`, and then the body.
pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let (head, body) = text
        .split_once('\n')
        .unwrap_or(("200 - application/json", text));
    let mut words = head.splitn(3, ' ');
    let status = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(200);
    let retry_after = words.next().and_then(|word| word.parse().ok());
    let content_type = words.next();
    let reply = HttpReply {
        status,
        content_type: content_type.map(str::to_owned),
        retry_after: retry_after.map(Millis),
        date: None,
        body: Some(Secret::from(body)),
        dpop_nonce: None,
        location: None,
    };
    let is_json = content_type.is_some_and(|named| {
        let essence = named.split(';').next().unwrap().trim().to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    });
    let other = serde_json::from_str::<serde_json::Value>(body).ok();
    let error = other.as_ref().and_then(|o| o.get("error")?.as_str());
    let answer = token_endpoint::read(&reply, Scheme::Bearer.into());
    if let (TokenResponse::Tokens(_), TokenResponse::Tokens(_)) =
        (&answer, token_endpoint::read(&reply, Scheme::Dpop.into()))
    {
        panic!("tokens that anybody may use are bound to a key");
    }
    let shown = format!("{answer:?}");
    match &answer {
        TokenResponse::Tokens(tokens) => {
            assert!((200..300).contains(&status) && is_json);
            are_sound(tokens, other.as_ref());
            let token = tokens.access_token.expose();
            // A short token may occur by chance, and a provider may use any string as a scope.
            let scope = tokens.scope.as_deref().unwrap_or_default();
            assert!(token.len() < 12 || scope.contains(token) || !shown.contains(token));
        }
        TokenResponse::Refused(code) => {
            assert!((400..500).contains(&status) && is_json);
            assert_eq!(Some(code.as_str()), error);
            assert!(code.len() <= 40 && code.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()));
        }
        TokenResponse::Wait(after) => {
            assert!(status == 429 || (status == 503 && after.is_some()));
        }
        TokenResponse::ServerError => assert!(status == 408 || (500..600).contains(&status)),
        TokenResponse::Unusable(unusable) => {
            assert!(unusable.why.len() < 150);
            if let Some(rotated) = &unusable.rotated {
                assert!((200..300).contains(&status) && !rotated.has_access_token());
                assert!(rotated.refresh_token.is_some() || rotated.loses_refresh_token);
            }
        }
    }
    let verdict = classify(&Outcome::from(reply), Scheme::Bearer.into());
    let is_end = matches!(verdict, RefreshOutcome::Ended);
    let says_so = (400..500).contains(&status) && ![408, 429].contains(&status);
    let is_said = says_so && is_json && error == Some("invalid_grant");
    // The other parser has a smaller range of numbers, and accepts some texts that the core rejects.
    assert!(!is_end || is_said);
}

fn are_sound(tokens: &TokenSet, other: Option<&serde_json::Value>) {
    let all = [
        ("access_token", Some(&tokens.access_token)),
        ("refresh_token", tokens.refresh_token.as_ref()),
        ("id_token", tokens.identity.as_ref()),
    ];
    for (name, token) in all {
        let Some(token) = token.map(Secret::expose) else {
            continue;
        };
        assert!((1..=MAX_TOKEN).contains(&token.len()), "{name}");
        let may_have = |b: u8| b.is_ascii_graphic() || b == b' ' && name == "refresh_token";
        assert!(token.bytes().all(may_have), "{name}");
        // The token must be exactly the provider's string, because it is copied to headers and forms.
        if let Some(other) = other {
            assert_eq!(other[name].as_str(), Some(token));
        }
    }
    let is_unlimited = tokens.expires_in == UNLIMITED && tokens.refresh_token.is_none();
    assert!(tokens.expires_in <= MAX_LIFETIME || is_unlimited);
    assert!(tokens.expires_in >= Millis::from_secs(1));
    // The other parser takes the last of two members with the same name.
    if let Some(other) = other.filter(|_| tokens.flaws.is_empty()) {
        let token_type = other["token_type"].as_str().unwrap();
        assert!(token_type.eq_ignore_ascii_case("bearer"));
        let error = other.get("error");
        assert!(error.is_none_or(|error| error.is_null() || error == ""));
    }
    if let Some(scope) = &tokens.scope {
        assert!(
            scope
                .bytes()
                .all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
        );
    }
}
