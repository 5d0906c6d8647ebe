//! The options for logins beyond the default code flow.

use crate::config::redirect_uri::RedirectUri;
use rules::codec::json::Value;
use rules::codec::url::Url;
use rules::config::Options;
use rules::config::identity::refuse_with_identity;
use rules::prelude::*;

/// Optional features of logins.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// True if the authorization response is in the fragment of the redirect URI (OAuth 2.0 Multiple Response Type
    /// Encoding Practices 2.1). In that case, a response in the query is ignored.
    pub uses_fragment: bool,
    /// The option `customLogin`.
    pub custom: CustomLogin,
    /// True if users may sign in on another device (RFC 8628).
    pub has_device_flow: bool,
    /// True if the address of a logout at the provider contains the ID token of the session that the logout has ended.
    pub sends_id_token_hint: bool,
    /// True if the page at the redirect URI has only `finishLogin()` of `strongroom/callback`.
    pub has_callback_page: bool,
    /// The address at which another site may begin a login (OIDC Core 4), without query.
    pub initiate_login_uri: Option<String>,
}

/// The option `customLogin`, by which an app opens authorization URLs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomLogin {
    /// The app cannot open authorization URLs itself.
    Off,
    /// The app may open authorization URLs itself.
    Allowed,
    /// The app must open authorization URLs itself, because the redirect URI is not on the worker's origin.
    Required,
}

impl LoginOptions {
    /// Reads the options.
    pub(crate) fn read(options: &Options<'_>, redirect_uri: &RedirectUri) -> Self {
        refuse_with_identity(options, "idTokenHint");
        Self {
            uses_fragment: uses_fragment(options),
            custom: match (options.boolean("customLogin"), redirect_uri.is_elsewhere) {
                (false, _) => CustomLogin::Off,
                (true, false) => CustomLogin::Allowed,
                (true, true) => CustomLogin::Required,
            },
            has_device_flow: options.boolean("deviceFlow"),
            sends_id_token_hint: options.boolean("idTokenHint"),
            has_callback_page: options.boolean("callbackPage"),
            initiate_login_uri: initiate_login_uri(options, redirect_uri),
        }
    }

    /// Returns the reason why a vault on an origin of its own cannot have these options.
    #[must_use]
    pub const fn refusal_in_frame(&self) -> Option<&'static str> {
        if self.sends_id_token_hint {
            return Some(msg!(
                "`idTokenHint` cannot be used with a vault on an origin of its own: the app's page would see the ID token"
            ));
        }
        if self.initiate_login_uri.is_some() {
            return Some(msg!(
                "`initiateLoginUri` cannot be used with a vault on an origin of its own: its path would be on the vault's origin, not on the app's"
            ));
        }
        None
    }
}

fn initiate_login_uri(options: &Options<'_>, redirect_uri: &RedirectUri) -> Option<String> {
    const OPTION: &str = "initiateLoginUri";
    const WHY: &str = msg!(
        "it must be a path on the worker's origin, without query and fragment, and not redirectUri, where responses arrive; an app with a redirect URI of another origin cannot have it"
    );
    let chosen = options.object.get(OPTION)?;
    let url = chosen
        .as_str()
        .and_then(|text| Url::parse_within(text, &redirect_uri.url))
        .filter(|url| !redirect_uri.is_elsewhere && url.href() == url.without_query())
        .map(|url| url.without_query())
        .filter(|url| *url != redirect_uri.url.without_query());
    if url.is_none() {
        options.refuse(OPTION, WHY);
    }
    url
}

fn uses_fragment(options: &Options<'_>) -> bool {
    const OPTION: &str = "responseMode";
    match options.object.get(OPTION).map(Value::as_str) {
        None | Some(Some("query")) => false,
        Some(Some("fragment")) => true,
        Some(_) => {
            let why = msg!(
                "it must be 'query' or 'fragment': form_post responses would go to a server, and signed responses (JARM) are not supported"
            );
            options.refuse(OPTION, why);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CustomLogin;
    use crate::config::tests::configured;
    use rules::base::error::{Code, Result};

    /// Returns the option `customLogin` of an app with this redirect URI.
    fn custom_login(redirect_uri: &str) -> Result<CustomLogin> {
        let options = format!(r#"{{"customLogin": true, "redirectUri": "{redirect_uri}"}}"#);
        configured(&options).map(|config| config.login.custom)
    }

    #[test]
    fn shells_redirect_uris_are_accepted() {
        for uri in [
            "com.example.app:/callback",
            "com.example.app:/",
            "com.example.app://callback",
            "com.example-2.app:/callback?a=b",
            "https://abcdef.chromiumapp.org/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:8400/",
            "http://[::1]/callback",
        ] {
            let custom = custom_login(uri).unwrap();
            assert_eq!(custom, CustomLogin::Required, "{uri}");
            let without_option = format!(r#"{{"redirectUri": "{uri}"}}"#);
            assert!(configured(&without_option).is_err(), "{uri}");
        }
        for uri in ["/callback", "https://app.example.com/callback"] {
            let custom = custom_login(uri).unwrap();
            assert_eq!(custom, CustomLogin::Allowed, "{uri}");
        }
    }

    #[test]
    fn other_redirect_uris_are_refused() {
        for uri in [
            "app:/callback",
            "com.example.app:callback",
            "com.example.app:",
            "com.example.app:/callback#a",
            "com.example.app://user@callback",
            "javascript:alert(1)",
            "javascript://a.b/",
            "data:text/html,a.b",
            "file:///a.b/callback",
            "http://127.0.0.1.evil.test/callback",
            "http://evil.test/callback",
            "ws://127.0.0.1/callback",
            "https://u@evil.test/callback",
            "https://evil.test/callback#a",
            "/callback#a",
        ] {
            let error = custom_login(uri).expect_err(uri);
            assert_eq!(error.code(), Code::ConfigInvalid, "{uri}");
            assert!(error.message().starts_with("`redirectUri` is"), "{error}");
        }
    }

    #[test]
    fn address_for_other_sites_is_a_path_of_the_app() {
        let read = |uri: &str| {
            let config = configured(&format!(r#"{{"initiateLoginUri": {uri}}}"#))?;
            Ok(config.login.initiate_login_uri)
        };
        for uri in [r#""/start""#, r#""https://app.example.com/start""#] {
            let read: Result<_> = read(uri);
            let expected = "https://app.example.com/start".to_owned();
            assert_eq!(read.unwrap(), Some(expected), "{uri}");
        }
        for uri in [
            r#""/callback""#,
            r#""/start?a""#,
            r#""/start#a""#,
            r#""https://evil.test/start""#,
            r#""http://app.example.com/start""#,
            r#""https://u@app.example.com/start""#,
            "true",
            "{}",
        ] {
            let read: Result<_> = read(uri);
            let error = read.expect_err(uri);
            assert!(error.message().contains("`initiateLoginUri`"), "{error}");
        }
    }

    #[test]
    fn shells_have_no_address_for_other_sites() {
        let options = r#"{"customLogin": true, "redirectUri": "com.example.app:/callback",
            "initiateLoginUri": "com.example.app:/start"}"#;
        let error = configured(options).expect_err("a shell opens the browser itself");
        assert!(error.message().contains("`initiateLoginUri`"), "{error}");
    }

    #[test]
    fn options_are_off_by_default() {
        let config = configured("{}").unwrap();
        assert!(!config.login.uses_fragment && config.flow.login_params.is_empty());
        assert_eq!(config.login.custom, CustomLogin::Off);
    }

    #[test]
    fn each_option_is_read() {
        let config = configured(
            r#"{"responseMode": "fragment", "loginScopes": ["orders:write"],
                "loginParams": ["kc_idp_hint", "display"]}"#,
        );
        let config = config.unwrap();
        assert_eq!(config.flow.login_scopes, ["orders:write"]);
        assert!(config.login.uses_fragment);
        assert_eq!(config.flow.login_params, ["kc_idp_hint", "display"]);
    }

    #[test]
    fn rejects_invalid_login_options() {
        for (options, expected) in [
            (r#"{"responseMode": "form_post"}"#, "'query' or 'fragment'"),
            (r#"{"responseMode": "jwt"}"#, "JARM"),
            (r#"{"responseMode": "query.jwt"}"#, "JARM"),
            (r#"{"loginScopes": "a"}"#, "an array of scopes"),
            (r#"{"loginScopes": ["a b"]}"#, "an array of scopes"),
            (r#"{"loginScopes": [""]}"#, "an array of scopes"),
            (r#"{"loginParams": "display"}"#, "an array of at most 16"),
            (r#"{"loginParams": [1]}"#, "an array of at most 16"),
            (r#"{"loginParams": ["a", ""]}"#, "an array of at most 16"),
            (
                r#"{"loginParams": ["state"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["client_id"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["dpop_jkt"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["redirect_uri"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["nonce"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["scope"]}"#,
                "the flow sets one of these itself",
            ),
            (
                r#"{"loginParams": ["prompt"]}"#,
                "login() has an option for it",
            ),
            (
                r#"{"loginParams": ["audience"], "authorizationParams": {"audience": "a"}}"#,
                "in authorizationParams",
            ),
        ] {
            let error = configured(options).expect_err(options);
            assert!(error.message().contains(expected), "{options}: {error}");
        }
        let longest = format!(r#"{{"loginParams": [{}]}}"#, vec![r#""a""#; 16].join(","));
        assert!(configured(&longest).is_ok());
        let many = format!(r#"{{"loginParams": [{}]}}"#, vec![r#""a""#; 17].join(","));
        assert!(configured(&many).is_err());
    }
}
