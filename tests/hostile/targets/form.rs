//! Compares the parsers of forms and base64url with other implementations of the same standards.

use base64ct::{Base64UrlUnpadded, Encoding};
use rules::codec::base64url;
use rules::codec::form;

pub fn check(input: &[u8]) {
    let written = base64url::encode(input);
    assert_eq!(written, Base64UrlUnpadded::encode_string(input));
    assert_eq!(base64url::decode(&written).as_deref(), Some(input));
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let bytes = base64url::decode(text);
    assert_eq!(bytes, Base64UrlUnpadded::decode_vec(text).ok(), "{text}");
    if let Some(bytes) = bytes {
        assert_eq!(base64url::encode(&bytes), text);
    }
    // The other parser decodes invalid UTF-8 to U+FFFD. The core rejects invalid UTF-8.
    let others = url::form_urlencoded::parse(input).map(|(n, v)| (n.into_owned(), v.into_owned()));
    let others: Vec<(String, String)> = others.collect();
    match form::parse(text) {
        Some(parameters) => {
            assert_eq!(parameters, others);
            let mut again = form::Form::new();
            for (name, value) in &parameters {
                again.push(name, value);
            }
            assert_eq!(form::parse(&again.finish()), Some(parameters));
        }
        None => assert!(
            others
                .iter()
                .any(|(n, v)| n.contains('\u{fffd}') || v.contains('\u{fffd}'))
        ),
    }
}
