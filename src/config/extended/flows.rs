//! The options for logins beyond the default code flow.

use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::config::Options;
use crate::config::identity::refuse_with_identity;
use crate::config::request::{self, RedirectUri};
use crate::prelude::*;

/// The options for logins that few providers need.
#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    /// True if the authorization response is in the fragment of the redirect URI (OAuth 2.0 Multiple Response Type
    /// Encoding Practices 2.1). In that case, a response in the query is ignored.
    pub(crate) uses_fragment: bool,
    /// The names of parameters that pages may add to an authorization request.
    pub(crate) params: Vec<String>,
    /// True if a login fails when the provider grants scopes that the login did not request.
    pub(crate) refuses_unrequested_scopes: bool,
    /// True if the address of a logout at the provider contains the ID token of the session that the logout has ended.
    pub(crate) sends_id_token_hint: bool,
    /// The audiences that an ID token without `azp` may have in addition to this client (OIDC Core 3.1.3.7).
    pub(crate) trusted_audiences: Vec<String>,
    /// The address at which another site may begin a login (OIDC Core 4), without query.
    pub(crate) initiate_login_uri: Option<String>,
}

impl LoginOptions {
    pub(super) fn read(options: &Options<'_>, redirect_uri: &RedirectUri) -> Self {
        refuse_with_identity(options, "idTokenHint");
        refuse_with_identity(options, "trustedAudiences");
        let unrequested = options.one_of("unrequestedScopes", r#""warn" "refuse""#);
        Self {
            uses_fragment: uses_fragment(options),
            params: request::login_params(options),
            refuses_unrequested_scopes: unrequested == r#""refuse""#,
            sends_id_token_hint: options.boolean("idTokenHint"),
            trusted_audiences: options.strings(
                "trustedAudiences",
                "",
                msg!("it must be an array of strings"),
            ),
            initiate_login_uri: initiate_login_uri(options, redirect_uri),
        }
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
    use super::super::super::tests::configured;
    use crate::base::error::{Code, Result};

    /// Returns true if the app must open authorization URLs itself with this redirect URI.
    fn is_custom_login_required(redirect_uri: &str) -> Result<bool> {
        let options = format!(r#"{{"customLogin": true, "redirectUri": "{redirect_uri}"}}"#);
        configured(&options).map(|config| **config.custom_login().unwrap())
    }

    #[test]
    fn shells_redirect_uris_are_accepted() {
        needs!(CustomLogin);
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
            assert!(is_custom_login_required(uri).unwrap(), "{uri}");
            let without_option = format!(r#"{{"redirectUri": "{uri}"}}"#);
            assert!(configured(&without_option).is_err(), "{uri}");
        }
        for uri in ["/callback", "https://app.example.com/callback"] {
            assert!(!is_custom_login_required(uri).unwrap(), "{uri}");
        }
    }

    #[test]
    fn other_redirect_uris_are_refused() {
        needs!(CustomLogin);
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
            let error = is_custom_login_required(uri).expect_err(uri);
            assert_eq!(error.code(), Code::ConfigInvalid, "{uri}");
            assert!(error.message().starts_with("`redirectUri` is"), "{error}");
        }
    }

    #[test]
    fn address_for_other_sites_is_a_path_of_the_app() {
        needs!(LoginOptions);
        let read = |uri: &str| {
            let config = configured(&format!(r#"{{"initiateLoginUri": {uri}}}"#))?;
            Ok(config.initiate_login_uri().cloned())
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
        needs!(CustomLogin);
        needs!(LoginOptions);
        let options = r#"{"customLogin": true, "redirectUri": "com.example.app:/callback",
            "initiateLoginUri": "com.example.app:/start"}"#;
        let error = configured(options).expect_err("a shell opens the browser itself");
        assert!(error.message().contains("`initiateLoginUri`"), "{error}");
    }

    #[test]
    fn options_are_off_by_default() {
        needs!(LoginOptions);
        let config = configured("{}").unwrap();
        let login = config.extended.login.get().unwrap();
        assert!(!login.uses_fragment && login.params.is_empty());
    }

    #[test]
    fn each_option_is_read() {
        needs!(LoginOptions);
        needs!(ResourceTokens);
        let config = configured(
            r#"{"responseMode": "fragment", "loginScopes": ["orders:write"],
                "loginParams": ["kc_idp_hint", "display"]}"#,
        );
        let extended = config.unwrap().extended;
        assert_eq!(*extended.login_scopes.get().unwrap(), ["orders:write"]);
        let login = extended.login.get().unwrap();
        assert!(login.uses_fragment);
        assert_eq!(login.params, ["kc_idp_hint", "display"]);
    }

    #[test]
    fn rejects_invalid_flow_options() {
        needs!(LoginOptions);
        needs!(ResourceTokens);
        needs!(Dpop);
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
