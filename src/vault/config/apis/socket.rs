//! The option `webSocket` of a rule: the position of the token in WebSocket connections.

use rules::base::http::is_token;
use rules::codec::json::Value;
use rules::config::Options;
use rules::egress::websocket::Place;
use rules::prelude::*;

/// Returns the position of the token in WebSocket connections, or `None` if the rule allows no such connections.
pub(super) fn place(options: &Options<'_>, binds_to_key: bool) -> Option<Place> {
    const OPTION: &str = "webSocket";
    const WHY: &str = msg!("it must be an object such as { token: 'protocol' }");
    let value = options.object.get(OPTION)?;
    if binds_to_key {
        // RFC 9449 7.1 puts the proof into a header, and a browser cannot set headers of a WebSocket handshake.
        options.refuse(
            OPTION,
            msg!("sockets cannot be used with dpop, since a browser cannot send a proof with them"),
        );
    }
    let Some(object) = value.as_object() else {
        options.refuse(OPTION, WHY);
        return None;
    };
    let path = [options.path, OPTION, "."].concat();
    token_place(&options.within(object, &path))
}

/// Reads the options in `webSocket`.
fn token_place(options: &Options<'_>) -> Option<Place> {
    match options.object.str("token") {
        Some("protocol") => {
            options.refuse_unknown(&["token", "prefix", "encoding"]);
            let why = msg!(
                "it must be a string of characters that are allowed in the name of a sub-protocol (RFC 9110 5.6.2)"
            );
            let prefix = options.text_or("prefix", "", why);
            if !prefix.is_empty() && !is_token(prefix) {
                options.refuse("prefix", why);
            }
            let encoding = options.object.get("encoding").map(Value::as_str);
            if !matches!(encoding, None | Some(Some("base64url"))) {
                options.refuse("encoding", msg!("it must be 'base64url' or omitted"));
            }
            Some(Place::Protocol {
                prefix: prefix.to_owned(),
                is_encoded: encoding.is_some(),
            })
        }
        Some("message") => {
            options.refuse_unknown(&["token", "message"]);
            let why = msg!("it must be a string that contains {token} once");
            let place = Place::message(options.text("message", why));
            if place.is_none() {
                options.refuse("message", why);
            }
            place
        }
        Some("query") => {
            options.refuse_unknown(&["token", "parameter"]);
            let why = msg!("it must be the name of a parameter");
            let parameter = options.text_or("parameter", "access_token", why);
            if parameter.is_empty() {
                options.refuse("parameter", why);
            }
            Some(Place::Query {
                parameter: parameter.to_owned(),
            })
        }
        _ => {
            options.refuse("token", msg!("it must be 'protocol', 'message' or 'query'"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::configured;

    #[test]
    fn web_socket_option_is_validated() {
        let rule = |place: &str| {
            configured(
                &[
                    r#"{"apis": [{"url": "https://api.example.com/v1/", "webSocket": "#,
                    place,
                    "}]}",
                ]
                .concat(),
            )
        };
        for place in [
            r#"{"token": "protocol"}"#,
            r#"{"token": "protocol", "prefix": "bearer.", "encoding": "base64url"}"#,
            r#"{"token": "message", "message": "Bearer {token}"}"#,
            r#"{"token": "query"}"#,
            r#"{"token": "query", "parameter": "jwt"}"#,
        ] {
            assert!(rule(place).is_ok(), "{place}");
        }
        for (place, expected) in [
            ("true", "`apis[0].webSocket` is true: it must be an object"),
            (
                r#"{"token": "header"}"#,
                "`apis[0].webSocket.token` is \"header\"",
            ),
            ("{}", "`apis[0].webSocket.token` is missing"),
            (
                r#"{"token": "protocol", "prefix": "a b"}"#,
                "`apis[0].webSocket.prefix` is \"a b\"",
            ),
            (r#"{"token": "protocol", "prefix": 1}"#, "prefix` is 1"),
            (
                r#"{"token": "protocol", "encoding": "hex"}"#,
                "'base64url' or omitted",
            ),
            (
                r#"{"token": "protocol", "parameter": "a"}"#,
                "parameter`: there is no such option",
            ),
            (r#"{"token": "message"}"#, "message` is missing"),
            (
                r#"{"token": "message", "message": "{tokens}"}"#,
                "contains {token} once",
            ),
            (
                r#"{"token": "message", "message": "{token}{token}"}"#,
                "contains {token} once",
            ),
            (
                r#"{"token": "query", "parameter": ""}"#,
                "the name of a parameter",
            ),
        ] {
            let error = rule(place).expect_err(place);
            let message = error.message();
            assert!(message.contains(expected), "{place}: {message}");
        }
    }
}
