//! The options for logins beyond the default code flow.

use super::super::{Options, PROTOCOL_PARAMS};
use super::is_protocol_param;
use crate::base::strings;
use crate::codec::json::Value;
use crate::oauth::scope::is_scope_token;
use crate::prelude::*;

/// The largest number of names in the option `loginParams`.
const MAX_PARAMS: usize = 16;

/// The options for logins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flows {
    /// True if the authorization response is in the fragment of the redirect URI (OAuth 2.0 Multiple Response Type
    /// Encoding Practices 2.1). In that case, a response in the query is ignored.
    pub(crate) uses_fragment: bool,
    /// True if users may sign in on another device (RFC 8628).
    pub(crate) has_device: bool,
    /// The scopes that pages may request besides the option `scope`.
    pub(crate) login_scopes: Vec<String>,
    /// The names of parameters that pages may add to an authorization request.
    pub(crate) login_params: Vec<String>,
}

/// Returns the reason why an option of another flow is not supported, or `None` for other unknown options.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "responsetype" | "response_type" | "implicit" => Some(msg!(
            "only the authorization code flow with PKCE is supported: the implicit flow puts tokens into URLs and does not bind them to this client (RFC 9700 2.1.2)"
        )),
        "granttype" | "grant_type" | "username" | "password" => Some(msg!(
            "only the authorization code flow with PKCE is supported: the password grant reveals the user's password to the app and has no second factor (RFC 9700 2.4)"
        )),
        _ => None,
    }
}

impl Options<'_> {
    pub(super) fn flows(&self) -> Flows {
        Flows {
            uses_fragment: self.uses_fragment(),
            has_device: self.boolean("deviceFlow"),
            login_scopes: self.login_scopes(),
            login_params: self.login_params(),
        }
    }

    fn uses_fragment(&self) -> bool {
        const OPTION: &str = "responseMode";
        match self.object.get(OPTION).map(Value::as_str) {
            None | Some(Some("query")) => false,
            Some(Some("fragment")) => true,
            Some(_) => {
                let why = msg!(
                    "it must be 'query' or 'fragment': form_post responses would go to a server, and signed responses (JARM) are not supported"
                );
                self.refuse(OPTION, why);
                false
            }
        }
    }

    fn login_scopes(&self) -> Vec<String> {
        const OPTION: &str = "loginScopes";
        const WHY: &str = msg!("it must be an array of scopes (RFC 6749 3.3)");
        if self.object.get(OPTION).is_none() {
            return Vec::new();
        }
        let scopes = self.strings(OPTION, "", WHY);
        if !scopes.iter().all(|scope| is_scope_token(scope)) {
            self.refuse(OPTION, WHY);
        }
        scopes
    }

    pub(crate) fn login_params(&self) -> Vec<String> {
        const OPTION: &str = "loginParams";
        const WHY: &str = msg!("it must be an array of at most 16 parameter names");
        if self.object.get(OPTION).is_none() {
            return Vec::new();
        }
        let names = self.strings(OPTION, "", WHY);
        let is_fixed = |name: &String| {
            let fixed = self.object.get("authorizationParams");
            fixed
                .and_then(Value::as_object)
                .is_some_and(|fixed| fixed.get(name).is_some())
        };
        if names.len() > MAX_PARAMS || names.iter().any(String::is_empty) {
            self.refuse(OPTION, WHY);
        }
        for name in &names {
            if strings::contains_word(PROTOCOL_PARAMS, name) || is_protocol_param(name) {
                let why =
                    msg!("the flow sets one of these itself, or login() has an option for it");
                self.refuse(OPTION, why);
            }
            if is_fixed(name) {
                let why =
                    msg!("one of these is in authorizationParams, where pages cannot change it");
                self.refuse(OPTION, why);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::configured;

    #[test]
    fn options_are_off_by_default() {
        let flows = configured("{}").unwrap().extended.flows;
        assert!(!flows.uses_fragment && flows.login_params.is_empty());
    }

    #[test]
    fn each_option_is_read() {
        let flows = configured(
            r#"{"responseMode": "fragment", "loginScopes": ["orders:write"],
                "loginParams": ["kc_idp_hint", "display"]}"#,
        );
        let flows = flows.unwrap().extended.flows;
        assert_eq!(flows.login_scopes, ["orders:write"]);
        assert!(flows.uses_fragment);
        assert_eq!(flows.login_params, ["kc_idp_hint", "display"]);
    }

    #[test]
    fn rejects_invalid_flow_options() {
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

    #[test]
    fn unsupported_flows_are_refused_with_reason() {
        for (name, section) in [
            ("responseType", "RFC 9700 2.1.2"),
            ("response_type", "RFC 9700 2.1.2"),
            ("implicit", "RFC 9700 2.1.2"),
            ("grantType", "RFC 9700 2.4"),
            ("grant_type", "RFC 9700 2.4"),
            ("username", "RFC 9700 2.4"),
            ("password", "RFC 9700 2.4"),
        ] {
            let error = configured(&format!(r#"{{"{name}": "s3cret"}}"#)).expect_err(name);
            assert!(error.message().contains(section), "{name}: {error}");
            assert!(!error.message().contains("s3cret"));
        }
    }
}
