//! The options of the authorization code flow, which a vault and a token handler share: the client, its provider, and what
//! logins request.

use super::limits::Limits;
use super::reader::{Options, Seconds};
use super::{fingerprint, identity, provider, request};
use crate::base::clock::Millis;
use crate::base::strings;
use crate::codec::json::{self, Object};
use crate::codec::url::Url;
use crate::oauth::identity::Members;
use crate::oauth::jwks::Algorithm;
use crate::oauth::metadata;
use crate::oauth::resource_indicators::Target;
use crate::oauth::token_endpoint::{Scheme, Wanted};
use crate::prelude::*;

const TIME_LIMIT: Seconds = Seconds {
    least: 1,
    most: 120,
    why: msg!("it must be a whole number of seconds from 1 to 120"),
};

/// The seconds by which the provider's clock may differ, by default.
const DEFAULT_TOLERANCE: u64 = 60;

/// The most seconds that `clockTolerance` allows.
const MOST_TOLERANCE: u64 = 600;

const TOLERANCE: Seconds = Seconds {
    least: 0,
    most: MOST_TOLERANCE,
    why: msg!("it must be a whole number of seconds from 0 to 600"),
};

/// The client and its provider, in a vault and in a token handler.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The client identifier (RFC 6749 2.2).
    pub client_id: String,
    /// The number of the account of this vault: see [`Self::key`]. A token handler has only the account 0.
    pub account: u64,
    /// True if other sessions may have the grant of a session that ends, so that no end of a session by its user or its limits
    /// revokes a token.
    pub forgets: bool,
    /// The scopes to request, separated by single spaces (RFC 6749 3.3).
    pub scope: String,
    /// The scopes that pages may request besides `scope`. A token handler has none.
    pub login_scopes: Vec<String>,
    /// The target of the login's access tokens: a resource, or the provider's default.
    pub target: Target,
    /// The names of parameters that pages may add to an authorization request.
    pub login_params: Vec<String>,
    /// Additional parameters for the authorization request, encoded.
    pub authorization_params: String,
    /// True if each login that is not silent asks for consent (`prompt=consent`).
    pub asks_consent: bool,
    /// True if a login fails when the provider grants scopes that the login did not request.
    pub refuses_unrequested_scopes: bool,
    /// True if each authorization response must have `iss`, whatever the metadata announce.
    pub requires_iss: bool,
    /// The limits on the duration of a session.
    pub limits: Limits,
    /// The claims that a page may see, besides `sub`.
    pub claims: Vec<String>,
    /// The claims that a session keeps of a response about the user: `claims`, and those of [`Self::keep_claim`].
    pub kept_claims: Vec<String>,
    /// Without OpenID Connect, the members of a response that say who the user is.
    pub identity: Option<Members>,
    /// The only accepted signing algorithm of ID tokens, if the configuration pins one.
    pub id_token_alg: Option<Algorithm>,
    /// The audiences that an ID token without `azp` may have in addition to this client (OIDC Core 3.1.3.7).
    pub trusted_audiences: Vec<String>,
    /// The claims of ID tokens whose values must not change at a refresh.
    pub same_claims: Vec<String>,
    /// True if the `UserInfo` endpoint is asked for claims after each login (OIDC Core 5.3).
    pub asks_user_info: bool,
    /// True if tokens must be sender-constrained by a key (RFC 9449).
    pub uses_dpop: bool,
    /// Members that replace or extend the discovered metadata.
    pub metadata_members: Option<Object>,
    /// The tolerated difference between the provider's clock and this machine's.
    pub clock_tolerance: Millis,
    /// The timeout of requests to the provider.
    pub request_timeout: Millis,
    /// The timeout of a refresh request. It is longer than that of other requests, because the provider may have
    /// consumed the refresh token that a repetition would send.
    pub refresh_timeout: Millis,
}

impl Flow {
    /// Reads the options, except the client's identifier and the members of the metadata, which each configuration has in
    /// another place. `issuer` is the option of this name.
    /// Without OpenID Connect, no scope is necessary; otherwise, `default_scope` is used if there is one.
    pub fn read(
        options: &Options<'_>,
        issuer: String,
        client_id: String,
        default_scope: Option<&str>,
        limits: Limits,
    ) -> Self {
        let request_timeout = options.seconds("requestTimeout", 10, &TIME_LIMIT);
        let refresh_timeout = options.seconds("refreshTimeout", 30, &TIME_LIMIT);
        let (identity, claims) = identity::read(options);
        let default_scope =
            default_scope.filter(|_| identity.is_none() && options.object.get("scope").is_none());
        Self {
            issuer,
            client_id,
            account: 0,
            forgets: options.one_of("logout", r#""revoke" "forget""#) == r#""forget""#,
            scope: match default_scope {
                Some(scope) => scope.to_owned(),
                None => request::scope(options, identity.is_none()),
            },
            login_scopes: request::login_scopes(options),
            target: Target {
                resource: request::resource(options),
                ..Target::default()
            },
            login_params: request::login_params(options),
            authorization_params: request::authorization_params(options),
            asks_consent: request::asks_consent(options),
            refuses_unrequested_scopes: request::refuses_unrequested_scopes(options),
            requires_iss: options.boolean("requireIss"),
            limits,
            kept_claims: claims.clone(),
            claims,
            identity,
            id_token_alg: identity::id_token_alg(options),
            trusted_audiences: identity::trusted_audiences(options),
            same_claims: identity::same_claims(options),
            asks_user_info: identity::asks_user_info(options),
            uses_dpop: options.boolean("dpop"),
            metadata_members: None,
            clock_tolerance: options.seconds("clockTolerance", DEFAULT_TOLERANCE, &TOLERANCE),
            request_timeout,
            refresh_timeout: refresh_timeout.max(request_timeout),
        }
    }

    /// Lets sessions keep a claim that pages may not see, and the claim that says whether it is verified.
    pub fn keep_claim(&mut self, name: &str) {
        for claim in [name.to_owned(), [name, "_verified"].concat()] {
            if identity::is_about_user(&claim) && !self.kept_claims.contains(&claim) {
                self.kept_claims.push(claim);
            }
        }
    }

    /// Returns the authentication scheme of access tokens.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        if self.uses_dpop {
            Scheme::Dpop
        } else {
            Scheme::Bearer
        }
    }

    /// Returns true if a login has an ID token (OIDC Core 3.1.2.1).
    #[must_use]
    pub const fn has_openid(&self) -> bool {
        self.identity.is_none()
    }

    /// Returns the response that this client wants from the token endpoint.
    #[must_use]
    pub fn wanted_tokens(&self) -> Wanted<'_> {
        let members = self.identity.as_ref();
        Wanted {
            scheme: self.scheme(),
            members: members.map(|members| (members, self.kept_claims.as_slice())),
        }
    }

    /// Returns the metadata that this client expects.
    #[must_use]
    pub fn expected_metadata(&self) -> metadata::Expected<'_> {
        metadata::Expected {
            configured: self.metadata_members.as_ref(),
            ..provider::expected(&self.issuer, self.identity.as_ref())
        }
    }

    /// Returns the address that says who the user is, if the configuration has one.
    #[must_use]
    pub fn profile(&self) -> Option<&Url> {
        self.identity.as_ref()?.profile.as_ref()
    }

    /// Returns true if a login may request this scope.
    #[must_use]
    pub fn may_ask(&self, scope: &str) -> bool {
        strings::contains_word(&self.scope, scope)
            || self.login_scopes.iter().any(|one| one == scope)
    }

    /// Returns true if pages may add this parameter to an authorization request.
    #[must_use]
    pub fn may_add(&self, parameter: &str) -> bool {
        self.login_params.iter().any(|one| one == parameter)
    }

    /// Returns the text that tells this app and account from the others of its origin: the issuer and the client, and before
    /// them the number of an account that is not the first one, and the login's resource. A client identifier may contain
    /// spaces, an issuer and a resource may not.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::new();
        // control: key_names_the_account
        if self.account > 0 {
            json::write_number(&mut key, self.account);
            key.push(' ');
        }
        if let Some(resource) = &self.target.resource {
            key.extend(["for ", resource, " "]);
        }
        key.extend([&self.issuer, " ", &self.client_id]);
        key
    }

    /// Returns the name of the channel for hints about sign-outs between the vaults of this app and account:
    /// `src/vault/hints.rs`. If the format of hints changes, the name must change too.
    #[must_use]
    pub fn channel(&self) -> String {
        ["strongroom hints 1 ", &self.key()].concat()
    }

    /// Returns a hash of [`Self::key`], which tells this app and account from others of its origin. It is in each `state`, and in
    /// the names of pages' records, so its text never changes, unlike the name of the channel, which it once was.
    #[must_use]
    pub fn app(&self) -> u32 {
        fingerprint(&["strongroom hints 1 ", &self.key()].concat())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{Faults, reader, session};

    /// With another hash, no login would end that a page with an older worker has begun.
    #[test]
    fn hash_of_an_app_is_fixed() {
        let flow = flow(r#"{"issuer":"https://id.test","scope":"openid"}"#);
        assert_eq!(flow.app(), 1_009_913_985);
    }

    /// The resource comes first, because a client identifier may look like the rest of another key.
    #[test]
    fn key_names_the_resource() {
        let key = |more: &str| {
            let flow =
                flow(&[r#"{"issuer":"https://id.test","scope":"openid""#, more, "}"].concat());
            flow.key()
        };
        assert_eq!(key(""), "https://id.test spa");
        assert_eq!(
            key(r#","resource":"urn:a""#),
            "for urn:a https://id.test spa"
        );
    }

    /// Reads the flow of the client `spa` from options in JSON.
    pub(crate) fn flow(json: &str) -> Flow {
        let object = reader::parse(json).unwrap();
        let faults = Faults::default();
        let options = Options::of(&object, &faults);
        let limits = Limits::read(&session(&options));
        let issuer = provider::issuer(&options);
        let flow = Flow::read(&options, issuer, "spa".to_owned(), None, limits);
        assert!(faults.into_error().is_none(), "{json}");
        flow
    }
}
