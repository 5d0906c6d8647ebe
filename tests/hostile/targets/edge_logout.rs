//! Checks the claims of signed logout tokens. A token that ends a session must meet all requirements of OpenID Connect
//! Back-Channel Logout 1.0 section 2.6. This file checks the requirements with another parser.

use super::edge_cookie::answer;
use edge::{Effect, Reply, Request};
use rules::Secret;
use rules::base::http::{HttpReply, Outcome};
use rules::codec::base64url;
use serde_json::Value;

const NOW: u64 = 1_800_000_000;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;

pub fn check(input: &[u8]) {
    let parts = [br#"{"alg":"ES256","typ":"logout+jwt"}"#, input, &[1; 64]];
    let token = parts.map(base64url::encode).join(".");
    let request = Request {
        method: "POST".to_owned(),
        url: "https://app.example.com/auth/backchannel-logout".to_owned(),
        has_body: true,
        ..Request::default()
    };
    let mut written = Vec::new();
    let response = answer(request, |effect| match effect {
        Effect::Body(most) => {
            let body = ["logout_token=", &token].concat();
            Reply::Body((body.len() <= most).then(|| Secret::new(body)))
        }
        Effect::Send { .. } => Reply::Sent(Outcome::from(HttpReply {
            status: 200,
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            date: None,
            body: Some(Secret::from(KEYS)),
            dpop_nonce: None,
            location: None,
        })),
        Effect::Verify { .. } => Reply::Verified(true),
        Effect::Read(keys) => Reply::Entries {
            entries: vec![None; keys.len()],
            time: None,
        },
        Effect::Swap { key, .. } => {
            written.push(key);
            Reply::Swapped(Some("1".to_owned()))
        }
        other => panic!("{other:?} for a logout token"),
    });
    if response.status != 200 {
        assert_eq!(response.status, 400);
        assert!(written.is_empty());
        let (_, body) = response.body.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let why = body["error_description"].as_str().unwrap();
        super::assert_presentable(why);
        return;
    }
    // The other parser rejects numbers that are too large for its types, even in unused claims.
    let Ok(claims) = serde_json::from_slice::<Value>(input) else {
        return;
    };
    assert_eq!(claims["iss"], "https://id.example.com");
    assert!(
        claims["aud"] == "web"
            || claims["aud"]
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one == "web")
    );
    assert!(claims["iat"].as_f64().unwrap() <= (NOW + 60) as f64);
    let exp = claims["exp"].as_f64();
    assert!(exp.is_none_or(|exp| exp + 60.0 > NOW as f64));
    assert!(claims["events"][EVENT].is_object());
    assert!(claims.get("nonce").is_none());
    assert!(!claims["jti"].as_str().unwrap().is_empty());
    let kind = if claims["sid"].is_string() {
        "end sid."
    } else {
        "end subject."
    };
    assert!(claims["sid"].is_string() || claims["sub"].is_string());
    let [end, used] = &written[..] else {
        panic!("{written:?}");
    };
    assert!(end.starts_with(kind) && used.starts_with("jti."));
}
