//! Provider metadata (RFC 8414, OpenID Connect Discovery 1.0). The metadata's `issuer` must be the configured issuer.
//!
//! The same checks apply to configured and to discovered metadata.

use crate::base::error::{quote, quote_url};
use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::json::{self, Object, Value};
use crate::codec::url::{self, Url, redirect_target};
use crate::oauth::jwks::{Algorithm, NONE_SUPPORTED};
use crate::oauth::pkce;
use crate::prelude::*;
use crate::{Code, Error, Result};
use core::cell::{Cell, OnceCell};

/// Longest discovery document that is accepted, in bytes.
pub const MAX_LEN: usize = 128 * 1024;

/// The metadata that a client expects.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The configured issuer identifier.
    pub issuer: &'a str,
    /// Configured members, which are added to the members of a document or replace them. `issuer` is never replaced,
    /// because it shows to which issuer the document belongs.
    pub configured: Option<&'a Object>,
    /// True if the client needs ID tokens, and so keys.
    pub has_openid: bool,
    /// The address that says who the user is. It receives the access token, so it must not be one of the endpoints in
    /// [`Metadata::endpoints`].
    pub profile: Option<&'a Url>,
}

impl<'a> Expected<'a> {
    /// Expects the metadata of an issuer with OpenID Connect, as the issuer publishes them.
    #[must_use]
    pub const fn of(issuer: &'a str) -> Self {
        Self {
            issuer,
            configured: None,
            has_openid: true,
            profile: None,
        }
    }
}

/// Defines the members of [`Metadata`]: type, the method of [`MetadataReader`] that reads the member, and `requested` if the
/// client sends requests there. The build writes lists for the package from this table.
macro_rules! members {
    ($($(#[doc = $doc:literal])+ $member:ident: $typed:ty = $read:ident $(, $requested:ident)?;)+) => {
        /// The members of a provider's metadata that this crate uses. Every endpoint is an absolute `https` URL without user
        /// information and fragment; only an issuer on loopback may have `http` endpoints, which must be on loopback, too. An
        /// optional endpoint in a discovery document that is not such a URL is ignored: see [`Metadata::warning`].
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Metadata {
            /// The issuer identifier, exactly as configured.
            pub issuer: String,
            $($(#[doc = $doc])+ pub $member: $typed,)+
            /// The endpoints of [`Metadata::endpoints`] without `jwks_uri`.
            endpoints: Vec<String>,
            /// Algorithms of ID token signatures: those of `id_token_signing_alg_values_supported` that this crate accepts,
            /// or all algorithms that this crate accepts if the member is absent.
            pub id_token_signing_algorithms: Vec<Algorithm>,
            /// False if `scopes_supported` lacks `offline_access`. A server may support scopes that it does not list (RFC
            /// 8414 section 2).
            pub may_support_offline_access: bool,
            /// The optional endpoints that are not usable, with their values. Empty if there are none.
            flaws: String,
        }

        impl Metadata {
            fn read(reader: &MetadataReader<'_>, issuer: &str) -> Box<Self> {
                Box::new(Self {
                    issuer: issuer.to_owned(),
                    $($member: reader.$read(stringify!($member)),)+
                    endpoints: reader.endpoints(),
                    id_token_signing_algorithms: reader.signing_algorithms(),
                    may_support_offline_access: reader.may_support("offline_access"),
                    flaws: reader.flaws.take(),
                })
            }

            /// Returns the names of the members of the table that differ.
            fn differing(&self, newer: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$member != newer.$member {
                    names.push(stringify!($member));
                })+
                names
            }
        }
    };
}

members! {
    /// Authorization endpoint (RFC 6749 3.1).
    authorization_endpoint: String = endpoint;
    /// Token endpoint (RFC 6749 3.2).
    token_endpoint: String = endpoint, requested;
    /// URL of the issuer's key set: see [`crate::oauth::jwks`]. Empty if a server without OpenID Connect has none.
    jwks_uri: String = key_set, requested;
    /// Revocation endpoint (RFC 7009).
    revocation_endpoint: Option<String> = optional_endpoint, requested;
    /// Logout endpoint (OpenID Connect RP-Initiated Logout 1.0).
    end_session_endpoint: Option<String> = optional_endpoint;
    /// Pushed authorization request endpoint (RFC 9126 5).
    pushed_authorization_request_endpoint: Option<String> = optional_endpoint, requested;
    /// True if authorization requests must be pushed (RFC 9126 5).
    require_pushed_authorization_requests: bool = flag;
    /// True if an authorization response without `iss` must be refused (RFC 9207 section 2.4).
    authorization_response_iss_parameter_supported: bool = flag;
    /// Device authorization endpoint (RFC 8628 4).
    device_authorization_endpoint: Option<String> = rarely_used_endpoint, requested;
    /// UserInfo endpoint (OpenID Connect Core 1.0 section 5.3), which is not checked.
    userinfo_endpoint: Option<String> = unchecked_endpoint;
}

impl Metadata {
    /// Reads the discovery document of an issuer with OpenID Connect.
    ///
    /// # Errors
    /// The errors of [`Metadata::parse_expected`].
    pub fn parse(json: &str, issuer: &str) -> Result<Box<Self>> {
        Self::parse_expected(json, &Expected::of(issuer))
    }

    /// Reads a discovery document.
    ///
    /// # Errors
    /// [`Code::MetadataInvalid`] if the document is longer than [`MAX_LEN`] or not a strict JSON object, and the errors
    /// of [`Metadata::from_object`].
    pub fn parse_expected(json: &str, expected: &Expected<'_>) -> Result<Box<Self>> {
        if json.len() > MAX_LEN {
            return Err(invalid(&[msg!("it is longer than 128 KiB")]));
        }
        match Value::parse(json) {
            Ok(Value::Object(ref document)) => Self::from_object(document, expected),
            Ok(_) => Err(invalid(&[msg!("it is not a JSON object")])),
            Err(error) => Err(invalid(&[
                msg!("it is not strict JSON: "),
                &error.describe(),
            ])),
        }
    }

    /// Returns true if configured metadata has all required members, so that discovery is not needed.
    #[must_use]
    pub fn is_complete(document: &Object, has_openid: bool) -> bool {
        let has = |name| document.get(name).is_some();
        let has_endpoints = has("authorization_endpoint") && has("token_endpoint");
        has_endpoints && (!has_openid || has("issuer") && has("jwks_uri"))
    }

    /// Reads metadata, discovered or configured.
    ///
    /// # Errors
    /// [`Code::IssuerMismatch`] if the `issuer` in `document` is not exactly the expected one (RFC 8414 section 3.3);
    /// [`Code::MetadataInvalid`] with the name of the member if one is missing or not valid.
    pub fn from_object(document: &Object, expected: &Expected<'_>) -> Result<Box<Self>> {
        let Expected {
            issuer,
            configured,
            has_openid,
            profile,
        } = *expected;
        let reader = MetadataReader {
            configured,
            document,
            has_openid,
            is_https: issuer.starts_with("https:"),
            error: OnceCell::new(),
            flaws: Cell::default(),
        };
        let actual = if !has_openid && reader.get("issuer").is_none() {
            issuer
        } else {
            reader.required("issuer")
        };
        if actual != issuer {
            let message = [
                msg!("the issuer in the provider's metadata is "),
                &quote_url(actual),
                msg!(", not "),
                &quote_url(issuer),
            ];
            let mismatch = || Error::of(Code::IssuerMismatch, &message);
            reader.error.get_or_init(mismatch);
        }
        reader.check_pkce();
        let metadata = Self::read(&reader, issuer);
        if let Some(profile) = profile {
            reader.refuse_profile(profile, &metadata.endpoints());
        }
        match reader.error.into_inner() {
            None => Ok(metadata),
            Some(error) => Err(error),
        }
    }

    /// Reads metadata that were known when the app was built. Their list of algorithms does not count, because a provider
    /// changes it more often than its endpoints: only configured algorithms do.
    ///
    /// # Errors
    /// The errors of [`Metadata::from_object`].
    pub fn from_pinned(document: &Object, expected: &Expected<'_>) -> Result<Box<Self>> {
        let mut metadata = Self::from_object(document, expected)?;
        let is_configured = |members: &Object| members.get(ALGORITHMS).is_some();
        if expected.has_openid && !expected.configured.is_some_and(is_configured) {
            metadata.id_token_signing_algorithms = Algorithm::ALL.to_vec();
        }
        Ok(metadata)
    }

    /// Returns the names of the members in which these metadata and `newer` differ, separated by commas. Returns an empty
    /// string if they do not differ. Algorithms are not compared.
    #[must_use]
    pub fn differences(&self, newer: &Self) -> String {
        let mut names = self.differing(newer);
        if !self.has_unnamed_endpoints_of(newer) || !newer.has_unnamed_endpoints_of(self) {
            names.push(msg!("other endpoints"));
        }
        names.join(", ")
    }

    /// Returns true if this metadata has the endpoints of `other` that no client uses.
    fn has_unnamed_endpoints_of(&self, other: &Self) -> bool {
        let optional = [
            &other.revocation_endpoint,
            &other.end_session_endpoint,
            &other.pushed_authorization_request_endpoint,
            &other.device_authorization_endpoint,
        ];
        let is_named = |url: &String| {
            *url == other.authorization_endpoint
                || *url == other.token_endpoint
                || optional.iter().any(|named| named.as_ref() == Some(url))
        };
        let mut unnamed = other.endpoints.iter().filter(|url| !is_named(url));
        unnamed.all(|url| self.endpoints.contains(url))
    }

    /// Returns the warning about members that are not usable, and that were ignored.
    #[must_use]
    pub fn warning(&self) -> Option<Error> {
        let message = [
            msg!("members of the provider's metadata are not usable, and were ignored: "),
            &self.flaws,
            msg!(
                " (an endpoint must be an absolute https URL without user information and fragment)"
            ),
        ];
        (!self.flaws.is_empty()).then(|| Error::of(Code::MetadataInvalid, &message))
    }

    /// Returns the endpoints that requests of a page must not reach: `jwks_uri` and every member whose name ends in
    /// `_endpoint`, also in `mtls_endpoint_aliases` (RFC 8705 5). `userinfo_endpoint` is an exception: it is an API
    /// that accepts access tokens (OpenID Connect Core 1.0 section 5.3), and a rule can allow it.
    #[must_use]
    pub fn endpoints(&self) -> Vec<&str> {
        let jwks_uri = Some(&self.jwks_uri).filter(|url| !url.is_empty());
        let endpoints = jwks_uri.into_iter().chain(&self.endpoints);
        endpoints.map(String::as_str).collect()
    }
}

/// Returns the URL of the discovery document of `issuer` (OpenID Connect Discovery 1.0 section 4): the well-known path
/// is appended to the issuer's path.
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    Search::default().url(issuer)
}

/// Returns a location at which the issuer may publish its metadata, or `None` if there are only `n` locations:
/// [`discovery_url`], the location of RFC 8414 section 3.1, where the well-known path is inserted before the issuer's path,
/// and the location of its section 5, where the path of OpenID Connect is inserted. Some servers append the path of RFC
/// 8414 to the issuer's path instead.
pub(crate) fn location(issuer: &str, n: u8) -> Option<String> {
    const OPENID: &str = "/.well-known/openid-configuration";
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let end = base.len();
    // The issuer is a valid URL, so the third slash, if any, begins its path.
    let mut slashes = base.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    let (path, _) = slashes.nth(2).unwrap_or((end, 0));
    let (at, well_known) = match n {
        0 => (end, OPENID),
        1 => (path, OAUTH),
        2 if path < end => (path, OPENID),
        3 if path < end => (end, OAUTH),
        _ => return None,
    };
    let (before, after) = (strings::part(base, 0, at), strings::part(base, at, end));
    Some([before, well_known, after].concat())
}

/// A search for the provider's metadata, at each `location` once. The first readable document counts, even if it is
/// not valid.
#[derive(Default)]
pub struct Search {
    /// The number of locations at which the current search found no readable document.
    tried: u8,
    /// True if the lack of a document at one of these locations may be temporary. The document that was found may then
    /// be a poorer one than usual, such as one without a logout endpoint.
    pub is_provisional: bool,
    /// The error of the first location.
    error: Option<Error>,
}

impl Search {
    /// Returns true if the first location is tried now.
    pub const fn is_at_start(&self) -> bool {
        self.tried == 0
    }

    /// Returns the location that is tried now.
    pub fn url(&self, issuer: &str) -> String {
        location(issuer, self.tried).unwrap_or_default()
    }

    /// Reads the response from the current location, `url`. Returns `None` if the next location is to be tried, which
    /// is only done if `may_continue` is true. After any other result, the next search begins at the first location.
    /// `no_response` is that of [`read_document`].
    pub fn read(
        &mut self,
        outcome: &Outcome,
        expected: &Expected<'_>,
        url: &str,
        no_response: &str,
        may_continue: bool,
    ) -> Option<Result<Box<Metadata>>> {
        if self.tried == 0 {
            self.is_provisional = false;
        }
        let found = match read_document(outcome, msg!("discovery document"), url, no_response) {
            Ok(text) => Metadata::parse_expected(text, expected),
            Err(error) => {
                self.is_provisional |= !matches!(outcome, Outcome::Reply(r) if r.status < 429);
                self.tried += 1;
                let first = self.error.take().unwrap_or(error);
                if may_continue && location(expected.issuer, self.tried).is_some() {
                    self.error = Some(first);
                    return None;
                }
                Err(first)
            }
        };
        self.tried = 0;
        self.error = None;
        Some(found)
    }
}

/// The member with the algorithms of ID token signatures.
const ALGORITHMS: &str = "id_token_signing_alg_values_supported";

/// Returns true for a response that will not change while one waits: a redirect, which is not followed, or a refusal.
fn is_permanent(outcome: &Outcome) -> bool {
    let Outcome::Reply(reply) = outcome else {
        return false;
    };
    matches!(reply.status, 0 | 300..=499) && !matches!(reply.status, 408 | 425 | 429)
}

/// Reads the members of a document. The first error is kept and returned after all members are read: an early return at
/// each member would need code to drop the values read before.
struct MetadataReader<'a> {
    /// Configured members, which are added to the members of the document or replace them.
    configured: Option<&'a Object>,
    document: &'a Object,
    /// True if the client needs keys.
    has_openid: bool,
    /// True if the issuer is an `https` URL.
    is_https: bool,
    error: OnceCell<Error>,
    /// The optional endpoints so far that are not usable, with their values.
    flaws: Cell<String>,
}

impl<'a> MetadataReader<'a> {
    fn refuse(&self, reason: &[&str]) {
        self.error.get_or_init(|| invalid(reason));
    }

    /// Refuses a profile address that is one of these endpoints.
    fn refuse_profile(&self, profile: &Url, endpoints: &[&str]) {
        let is_same =
            |endpoint: &Url| endpoint.is_same_origin(profile) && endpoint.path() == profile.path();
        if endpoints
            .iter()
            .any(|endpoint| Url::parse(endpoint).is_some_and(|url| is_same(&url)))
        {
            let message = msg!(
                "`identity.url` is an endpoint of the authorization server that expects no access token"
            );
            self.error
                .get_or_init(|| Error::new(Code::ConfigInvalid, message));
        }
    }

    /// Returns the member `name`. The value `null` counts as absent, because some providers send `null` for absent
    /// members.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let configured = self.configured.filter(|_| name != "issuer");
        let configured = configured.and_then(|members| members.get(name));
        match configured.or_else(|| self.document.get(name)) {
            None | Some(Value::Null) => None,
            value => value,
        }
    }

    fn string(&self, name: &str, value: &'a Value) -> &'a str {
        match value.as_str() {
            Some(text) => text,
            None => {
                let kind = value.kind();
                self.refuse(&[
                    name,
                    msg!(" is or contains "),
                    kind,
                    msg!(" instead of a string"),
                ]);
                ""
            }
        }
    }

    fn required(&self, name: &str) -> &'a str {
        match self.get(name) {
            Some(value) => self.string(name, value),
            None => {
                self.refuse(&[name, msg!(" is missing")]);
                ""
            }
        }
    }

    /// Returns the URL in the member `name`. The URL must have no fragment (RFC 6749 sections 3.1 and 3.2), and must be
    /// printable ASCII (RFC 3986), because parsers differ in which other characters they accept.
    fn endpoint(&self, name: &str) -> String {
        let text = self.required(name);
        if !self.is_endpoint(text) {
            self.refuse(&[
                name,
                " is ",
                &quote_url(text),
                msg!(", but must be an absolute https URL without user information and fragment"),
            ]);
        }
        text.to_owned()
    }

    fn is_endpoint(&self, text: &str) -> bool {
        let is_plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
        // Endpoints of an `https` issuer must be `https`. An `http` issuer, which is on loopback, may have `http`
        // endpoints there.
        let is_plain_http = self.is_https && !text.starts_with("https://");
        is_plain && !is_plain_http && url::is_trustworthy(text)
    }

    /// Returns the URL in the member `name`, or `None` if the member is absent, empty or not usable. A member that the
    /// configuration names must be usable.
    fn optional_endpoint(&self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        if self.configured.is_some_and(|own| own.get(name).is_some()) {
            return Some(self.endpoint(name));
        }
        let flaw = match value {
            Value::String(text) if self.is_endpoint(text) => return Some(text.clone()),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => quote_url(text),
            other => other.kind().to_owned(),
        };
        let mut flaws = self.flaws.take();
        if !flaws.is_empty() {
            flaws.push_str(", ");
        }
        flaws.push_str(&[name, " is ", &flaw].concat());
        self.flaws.set(flaws);
        None
    }

    /// Returns the URL of the key set, or an empty string if the client needs no keys.
    fn key_set(&self, name: &str) -> String {
        if self.has_openid {
            self.endpoint(name)
        } else {
            String::new()
        }
    }

    /// Returns the string in the member `name`. Most clients do not use this endpoint, so a malformed one is not an error
    /// here.
    fn unchecked_endpoint(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.as_str()?;
        Some(text.to_owned())
    }

    /// Returns the URL in the member `name`, or `None` if it is not a valid endpoint. For endpoints that most clients do
    /// not use.
    fn rarely_used_endpoint(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.as_str()?;
        self.is_endpoint(text).then(|| text.to_owned())
    }

    fn endpoints(&self) -> Vec<String> {
        let mut endpoints = Vec::new();
        read_endpoints(self.document, &mut endpoints);
        if let Some(configured) = self.configured {
            read_endpoints(configured, &mut endpoints);
        }
        endpoints
    }

    fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::String(text)) if text.is_empty() => false,
            Some(Value::Bool(flag)) => *flag,
            Some(value) => {
                self.refuse(&[name, " is ", value.kind(), msg!(", not a boolean")]);
                false
            }
        }
    }

    fn strings(&self, name: &str) -> Option<Vec<&'a str>> {
        let value = self.get(name)?;
        let Some(items) = value.as_array() else {
            self.refuse(&[name, " is ", value.kind(), msg!(", not an array")]);
            return None;
        };
        let mut strings = Vec::new();
        for item in items {
            strings.push(self.string(name, item));
        }
        Some(strings)
    }

    /// Refuses a provider whose `code_challenge_methods_supported` lacks `S256`. By RFC 8414 section 2, a provider
    /// without this array does not support PKCE. OpenID Connect Discovery does not define the array, though, and many
    /// providers with PKCE leave it out, so an absent array is accepted. If a provider ignores PKCE, the `nonce` in the
    /// ID token still stops an injected code.
    fn check_pkce(&self) {
        const NAME: &str = "code_challenge_methods_supported";
        let methods = self.strings(NAME);
        if methods.is_some_and(|methods| !methods.contains(&pkce::CHALLENGE_METHOD)) {
            self.refuse(&[NAME, msg!(" does not contain 'S256'")]);
        }
    }

    /// Returns false if there is a list of scopes without this one.
    fn may_support(&self, scope: &str) -> bool {
        match self.get("scopes_supported").and_then(Value::as_array) {
            Some(scopes) => scopes.iter().any(|one| one.as_str() == Some(scope)),
            None => true,
        }
    }

    fn signing_algorithms(&self) -> Vec<Algorithm> {
        if !self.has_openid {
            return Vec::new();
        }
        let Some(names) = self.strings(ALGORITHMS) else {
            return Algorithm::ALL.to_vec();
        };
        let mut known = Vec::new();
        for algorithm in Algorithm::ALL {
            if names
                .iter()
                .any(|name| Algorithm::from_name(name) == Some(algorithm))
            {
                known.push(algorithm);
            }
        }
        if known.is_empty() {
            self.refuse(&[ALGORITHMS, NONE_SUPPORTED]);
        }
        known
    }
}

/// Collects the endpoints in an object and its nested objects, such as `mtls_endpoint_aliases`.
fn read_endpoints(object: &Object, endpoints: &mut Vec<String>) {
    for (name, value) in object.iter() {
        match value {
            Value::String(url) if name.ends_with("_endpoint") && name != "userinfo_endpoint" => {
                endpoints.push(url.clone());
            }
            Value::Object(object) => read_endpoints(object, endpoints),
            _ => {}
        }
    }
}

fn invalid(reason: &[&str]) -> Error {
    let message = [
        msg!("the provider's metadata is unusable: "),
        &reason.concat(),
    ];
    Error::of(Code::MetadataInvalid, &message)
}

/// Returns the body of the provider's response with a JSON document. The other arguments are for the error message:
/// `what` names the document, `url` is its address, and `no_response` is the end of the message if there was no
/// response.
///
/// # Errors
/// [`Code::ProviderUnavailable`], or [`Code::MetadataInvalid`] for a redirect and for a refusal such as 404, which are not
/// temporary.
pub fn read_document<'a>(
    outcome: &'a Outcome,
    what: &str,
    url: &str,
    no_response: &str,
) -> Result<&'a str> {
    let unavailable = |why: &str| {
        let message = [
            msg!("the provider's "),
            what,
            msg!(" could not be fetched from "),
            &quote_url(url),
            ": ",
            why,
        ];
        let code = if is_permanent(outcome) {
            Code::MetadataInvalid
        } else {
            Code::ProviderUnavailable
        };
        Err(Error::of(code, &message))
    };
    match outcome {
        Outcome::Failed | Outcome::Opaque => unavailable(no_response),
        // `KeyLost` does not occur here, because requests for metadata and keys have no DPoP proof.
        Outcome::KeyLost => unavailable(""),
        Outcome::Reply(reply) if reply.status == 0 => unavailable(msg!(
            "a redirect, which is not followed; the browser does not say where it leads"
        )),
        Outcome::Reply(reply) if reply.status != 200 => {
            let mut why = msg!("status ").to_owned();
            json::write_number(&mut why, reply.status.into());
            if let Some(target) = redirect_target(reply.location.as_deref(), url) {
                why.push_str(msg!(", a redirect, which is not followed, to "));
                why.push_str(&quote_url(&target));
            }
            unavailable(&why)
        }
        Outcome::Reply(reply) => match reply.json_text() {
            Some(text) => Ok(text),
            None => {
                let named = reply.content_type.as_deref().unwrap_or_default();
                let message = [
                    msg!("the response is not JSON: its Content-Type is "),
                    &quote(named),
                ];
                unavailable(&message.concat())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    const ISSUER: &str = "https://id.example.com";

    /// Returns a complete document with `changes`: a member is added, or removed if it is given as `"name":` alone.
    fn document(changes: &str) -> String {
        let members = [
            ("issuer", r#""https://id.example.com""#),
            ("authorization_endpoint", r#""https://id.example.com/a""#),
            ("token_endpoint", r#""https://id.example.com/t""#),
            ("jwks_uri", r#""https://keys.example.com/k?v=1""#),
        ];
        let kept = members
            .iter()
            .filter(|(name, _)| !changes.contains(&format!("\"{name}\":")))
            .map(|(name, value)| format!("\"{name}\":{value}"));
        let changed =
            Some(changes.to_owned()).filter(|text| !text.ends_with([':', ' ']) && !text.is_empty());
        format!("{{{}}}", kept.chain(changed).collect::<Vec<_>>().join(","))
    }

    fn parse(changes: &str) -> Result<Box<Metadata>> {
        Metadata::parse(&document(changes), ISSUER)
    }

    #[track_caller]
    fn assert_invalid(changes: &str, reason: &str) {
        let error = parse(changes).expect_err(changes);
        assert_eq!(error.code(), Code::MetadataInvalid, "{changes}");
        assert!(error.message().contains(reason), "{changes}: {error}");
    }

    #[test]
    fn error_of_a_redirect_says_where_it_leads() {
        let url = "https://id.example.com/a/b";
        let message = |status, location: Option<&str>| {
            let mut reply = json_reply(status, "");
            reply.location = location.map(str::to_owned);
            let outcome = Outcome::from(reply);
            let error = read_document(&outcome, "metadata", url, "").unwrap_err();
            assert_eq!(error.code(), Code::MetadataInvalid);
            error.message().to_owned()
        };
        let begin =
            "the provider's metadata could not be fetched from 'https://id.example.com/a/b': ";
        for (status, location, expected) in [
            (
                301,
                Some("/a/b/?code=x"),
                "status 301, a redirect, which is not followed, to 'https://id.example.com/a/b/'",
            ),
            (302, Some("//[x"), "status 302"),
            (302, None, "status 302"),
            (404, None, "status 404"),
            (
                0,
                None,
                "a redirect, which is not followed; the browser does not say where it leads",
            ),
        ] {
            assert_eq!(message(status, location), [begin, expected].concat());
        }
    }

    #[test]
    fn required_members_are_enough() {
        let metadata = parse("").unwrap();
        assert_eq!(
            *metadata,
            Metadata {
                issuer: ISSUER.to_owned(),
                authorization_endpoint: "https://id.example.com/a".to_owned(),
                token_endpoint: "https://id.example.com/t".to_owned(),
                jwks_uri: "https://keys.example.com/k?v=1".to_owned(),
                revocation_endpoint: None,
                end_session_endpoint: None,
                pushed_authorization_request_endpoint: None,
                require_pushed_authorization_requests: false,
                userinfo_endpoint: None,
                device_authorization_endpoint: None,
                endpoints: [
                    "https://id.example.com/a".to_owned(),
                    "https://id.example.com/t".to_owned(),
                ]
                .to_vec(),
                authorization_response_iss_parameter_supported: false,
                id_token_signing_algorithms: Algorithm::ALL.to_vec(),
                may_support_offline_access: true,
                flaws: String::new(),
            }
        );
    }

    #[test]
    fn optional_members_are_read_and_unknown_ignored() {
        let metadata = parse(
            r#""revocation_endpoint":"https://id.example.com/r",
               "end_session_endpoint":"https://id.example.com/e",
               "authorization_response_iss_parameter_supported":true,
               "id_token_signing_alg_values_supported":["none","HS256","Ed25519","RS256","EdDSA"],
               "code_challenge_methods_supported":["plain","S256"],
               "userinfo_endpoint":7"#,
        )
        .unwrap();
        assert_eq!(
            metadata.revocation_endpoint.as_deref(),
            Some("https://id.example.com/r")
        );
        assert_eq!(
            metadata.end_session_endpoint.as_deref(),
            Some("https://id.example.com/e")
        );
        assert!(metadata.authorization_response_iss_parameter_supported);
        let known = ["RS256", "EdDSA"]
            .into_iter()
            .filter_map(Algorithm::from_name);
        assert!(metadata.id_token_signing_algorithms.into_iter().eq(known));
    }

    #[test]
    fn null_counts_as_absent_for_optional_members() {
        let nulls = r#""revocation_endpoint":null,"end_session_endpoint":null,
            "authorization_response_iss_parameter_supported":null,
            "id_token_signing_alg_values_supported":null,
            "code_challenge_methods_supported":null"#;
        assert_eq!(parse(nulls).unwrap(), parse("").unwrap());
    }

    #[test]
    fn issuer_must_match_the_configured_one_exactly() {
        for issuer in [
            "https://id.example.com/",
            "https://ID.example.com",
            "https://id.example.com:443",
            "http://id.example.com",
            "https://id.example.com/tenant",
            "https://evil.test",
            " https://id.example.com",
            "",
        ] {
            let error = parse(&format!(r#""issuer":"{issuer}""#)).unwrap_err();
            assert_eq!(error.code(), Code::IssuerMismatch, "{issuer}");
            assert!(error.message().contains(ISSUER));
        }
    }

    #[test]
    fn required_members_must_be_strings() {
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ] {
            assert_invalid(&format!("\"{name}\":"), &format!("{name} is missing"));
            assert_invalid(&format!("\"{name}\":null"), &format!("{name} is missing"));
            assert_invalid(
                &format!("\"{name}\":1"),
                &format!("{name} is or contains a number"),
            );
            assert_invalid(
                &format!("\"{name}\":[\"https://id.example.com\"]"),
                &format!("{name} is or contains an array"),
            );
        }
    }

    // claim: network-1
    #[test]
    fn every_endpoint_must_be_https() {
        let required = ["authorization_endpoint", "token_endpoint", "jwks_uri"];
        let optional = [
            "revocation_endpoint",
            "end_session_endpoint",
            "pushed_authorization_request_endpoint",
        ];
        for name in required.into_iter().chain(optional) {
            for bad in [
                "",
                "/token",
                "//id.example.com/t",
                "https://",
                "http://id.example.com/t",
                "http://127.0.0.1.evil.test/t",
                "http://localhost.evil.test/t",
                "http://2130706433.evil.test/",
                "https://user:pw@id.example.com/t",
                "https://user@id.example.com/t",
                "https://id.example.com/t#f",
                "https://id.example.com/t#",
                " https://id.example.com/t",
                "https://id.example.com/t\\n",
                "https://id.exa\\tmple.com/t",
                "https:\\\\\\\\id.example.com/t",
                "https:/id.example.com/t",
                "https:id.example.com/t",
                "https://id.example.com\\\\@evil.test/t",
                "https://аpi.example.com/t",
                "javascript:alert(1)",
                "data:text/plain,x",
                "blob:https://id.example.com/t",
                "file:///t",
                "wss://id.example.com/t",
            ] {
                let member = format!(r#""{name}":"{bad}""#);
                if required.contains(&name) {
                    assert_invalid(&member, &format!("{name} is '"));
                    continue;
                }
                let metadata = parse(&member).unwrap();
                let read = [
                    &metadata.revocation_endpoint,
                    &metadata.end_session_endpoint,
                    &metadata.pushed_authorization_request_endpoint,
                ];
                assert_eq!(read, [&None; 3], "{member}");
                let flaws = format!("ignored: {name} is '");
                let is_named = |warning: Error| warning.message().contains(&flaws);
                // An empty string is the same as an absent member.
                assert_eq!(metadata.warning().is_some_and(is_named), !bad.is_empty());
            }
            for good in ["https://id.example.com:8443/t?a=b", "https://127.0.0.1/t"] {
                assert!(parse(&format!(r#""{name}":"{good}""#)).is_ok(), "{good}");
            }
        }
    }

    #[test]
    fn invalid_device_endpoint_stops_no_other_login() {
        for (value, expected) in [
            (
                r#""https://id.example.com/d""#,
                Some("https://id.example.com/d"),
            ),
            (r#""http://id.example.com/d""#, None),
            (r#""/device""#, None),
            (r#""""#, None),
            ("1", None),
        ] {
            let metadata = parse(&format!(r#""device_authorization_endpoint":{value}"#)).unwrap();
            let read = metadata.device_authorization_endpoint;
            assert_eq!(read.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn unusable_optional_endpoints_are_named() {
        let metadata = parse(
            r#""end_session_endpoint":"http://id.example.com/out","revocation_endpoint":[],
               "pushed_authorization_request_endpoint":"""#,
        );
        let warning = metadata.unwrap().warning().unwrap();
        assert_eq!(
            warning.message(),
            "members of the provider's metadata are not usable, and were ignored: revocation_endpoint is an array, end_session_endpoint is 'http://id.example.com/out' (an endpoint must be an absolute https URL without user information and fragment)"
        );
        assert!(parse("").unwrap().warning().is_none());
    }

    #[test]
    fn configured_endpoints_must_be_usable() {
        for value in [r#""http://id.example.com/r""#, r#""""#, "1"] {
            let configured = format!(r#"{{"revocation_endpoint":{value}}}"#);
            let configured = Value::parse(&configured).unwrap();
            let expected = Expected {
                configured: configured.as_object(),
                ..Expected::of(ISSUER)
            };
            let refused = Metadata::parse_expected(&document(""), &expected).unwrap_err();
            assert!(
                refused.message().contains("revocation_endpoint is "),
                "{value}"
            );
        }
    }

    #[test]
    fn only_issuers_on_this_device_may_use_http() {
        for issuer in ["http://127.0.0.1:9000", "https://id.example.com"] {
            for endpoint in [
                "http://localhost/t",
                "http://127.9.9.9/t",
                "http://[::1]:9000/t",
            ] {
                let document = format!(
                    r#"{{"issuer":"{issuer}","authorization_endpoint":"{endpoint}",
                        "token_endpoint":"{endpoint}","jwks_uri":"{endpoint}"}}"#
                );
                let is_plain = issuer.starts_with("http:");
                assert_eq!(Metadata::parse(&document, issuer).is_ok(), is_plain);
            }
        }
    }

    #[test]
    fn challenge_methods_must_contain_s256() {
        for list in ["[]", r#"["plain"]"#, r#"["s256"]"#] {
            assert_invalid(
                &format!(r#""code_challenge_methods_supported":{list}"#),
                "code_challenge_methods_supported does not contain 'S256'",
            );
        }
    }

    #[test]
    fn rejects_providers_without_a_supported_algorithm() {
        for list in ["[]", r#"["none"]"#, r#"["HS256","none"]"#, r#"["rs256"]"#] {
            assert_invalid(
                &format!(r#""id_token_signing_alg_values_supported":{list}"#),
                "id_token_signing_alg_values_supported contains none of",
            );
        }
    }

    #[test]
    fn members_of_the_wrong_type_are_named() {
        for (changes, reason) in [
            (
                r#""code_challenge_methods_supported":"S256""#,
                "code_challenge_methods_supported is a string, not an array",
            ),
            (
                r#""code_challenge_methods_supported":["S256",1]"#,
                "code_challenge_methods_supported is or contains a number",
            ),
            (
                r#""id_token_signing_alg_values_supported":{}"#,
                "id_token_signing_alg_values_supported is an object, not an array",
            ),
            (
                r#""authorization_response_iss_parameter_supported":"true""#,
                "authorization_response_iss_parameter_supported is a string, not a boolean",
            ),
        ] {
            assert_invalid(changes, reason);
        }
    }

    #[test]
    fn metadata_must_be_a_strict_json_object() {
        let long = document(&format!(r#""a":"{}""#, "a".repeat(MAX_LEN)));
        let bom = ["\u{feff}", &document("")].concat();
        let twice = document("").replacen('{', r#"{"issuer":"https://evil.test","#, 1);
        for (json, reason) in [
            ("", "not strict JSON"),
            ("<!doctype html>", "not strict JSON"),
            (&bom, "not strict JSON"),
            (&twice, "not strict JSON"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            (&long, "longer than 128 KiB"),
        ] {
            let error = Metadata::parse(json, ISSUER).unwrap_err();
            assert_eq!(error.code(), Code::MetadataInvalid);
            assert!(error.message().contains(reason), "{error}");
        }
    }

    #[test]
    fn messages_quote_untrusted_values_in_short_ascii() {
        let error = parse(&format!(r#""issuer":"\u001b{}""#, "é".repeat(5000))).unwrap_err();
        assert!(error.message().is_ascii());
        // An issuer is shown in full, because it may differ from the configured issuer in any character.
        assert!(error.message().len() < 2200, "{}", error.message().len());
    }

    #[test]
    fn unreachable_documents_are_named_in_full() {
        let issuer = ["https://login.example.com/", &"tenant/".repeat(20), "v2.0"].concat();
        let url = discovery_url(&issuer);
        let error =
            super::read_document(&Outcome::Failed, "discovery document", &url, "no response");
        assert!(error.unwrap_err().message().contains(&format!("'{url}'")));
    }

    #[test]
    fn rfc_8414_puts_well_known_before_issuer_path() {
        for (issuer, other) in [
            (
                "https://id.example.com",
                "https://id.example.com/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.example.com/",
                "https://id.example.com/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.example.com:8443/tenant/a",
                "https://id.example.com:8443/.well-known/oauth-authorization-server/tenant/a",
            ),
            (
                "http://127.0.0.1:4401/tenant/",
                "http://127.0.0.1:4401/.well-known/oauth-authorization-server/tenant",
            ),
        ] {
            assert_eq!(location(issuer, 0), Some(discovery_url(issuer)));
            assert_eq!(location(issuer, 1).as_deref(), Some(other));
        }
    }

    #[test]
    fn only_issuers_with_path_have_further_locations() {
        for issuer in ["https://id.example.com", "https://id.example.com/"] {
            assert_eq!(location(issuer, 2), None);
        }
        for issuer in ["https://id.example.com/a/b", "https://id.example.com/a/b/"] {
            let inserted = "https://id.example.com/.well-known/openid-configuration/a/b";
            assert_eq!(location(issuer, 2).as_deref(), Some(inserted));
            let appended = "https://id.example.com/a/b/.well-known/oauth-authorization-server";
            assert_eq!(location(issuer, 3).as_deref(), Some(appended));
            assert_eq!(location(issuer, 4), None);
        }
    }

    #[test]
    fn each_location_is_tried_once() {
        let issuer = "https://id.example.com/a";
        let absent = Outcome::from(json_reply(404, ""));
        let mut search = Search::default();
        let mut tried = Vec::new();
        let error = loop {
            tried.push(search.url(issuer));
            if let Some(found) = search.read(
                &absent,
                &Expected::of(issuer),
                &search.url(issuer),
                "",
                true,
            ) {
                break found.unwrap_err();
            }
        };
        let locations = (0..4).filter_map(|n| location(issuer, n));
        assert!(tried.iter().eq(&locations.collect::<Vec<_>>()));
        assert!(error.message().contains(&tried[0]), "{error}");
    }

    #[test]
    fn temporary_failures_make_a_document_provisional() {
        for (status, is_provisional) in [
            (404, false),
            (403, false),
            (200, false),
            (429, true),
            (500, true),
        ] {
            let mut search = Search::default();
            let reply = Outcome::from(json_reply(status, ""));
            let reply = match reply {
                Outcome::Reply(mut reply) if status == 200 => {
                    reply.content_type = None;
                    Outcome::Reply(reply)
                }
                reply => reply,
            };
            assert!(
                search
                    .read(&reply, &Expected::of(ISSUER), "", "", true)
                    .is_none()
            );
            assert_eq!(search.is_provisional, is_provisional, "{status}");
        }
        for outcome in [Outcome::Opaque, Outcome::Failed] {
            let mut search = Search::default();
            assert!(
                search
                    .read(&outcome, &Expected::of(ISSUER), "", "", true)
                    .is_none()
            );
            assert!(search.is_provisional);
        }
    }

    #[test]
    fn well_known_path_follows_the_issuer_path() {
        for (issuer, url) in [
            (
                "https://id.example.com",
                "https://id.example.com/.well-known/openid-configuration",
            ),
            (
                "https://id.example.com/",
                "https://id.example.com/.well-known/openid-configuration",
            ),
            (
                "https://id.example.com/tenant",
                "https://id.example.com/tenant/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(discovery_url(issuer), url);
        }
    }

    #[test]
    fn configured_members_extend_the_discovered_ones() {
        let configured = object(
            r#"{"issuer":"https://other.test","revocation_endpoint":"https://id.example.com/revoke","token_endpoint":"https://id.example.com/own"}"#,
        );
        let discovered = r#"{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/a",
            "token_endpoint":"https://id.example.com/t","jwks_uri":"https://id.example.com/k"}"#;
        let with = |configured| Expected {
            configured: Some(configured),
            ..Expected::of("https://id.example.com")
        };
        let metadata = Metadata::parse_expected(discovered, &with(&configured)).unwrap();
        let revocation = Some("https://id.example.com/revoke");
        assert_eq!(metadata.revocation_endpoint.as_deref(), revocation);
        assert_eq!(metadata.token_endpoint, "https://id.example.com/own");
        assert_eq!(metadata.jwks_uri, "https://id.example.com/k");
        // Configuration cannot replace the `issuer` of the document.
        let others = discovered.replace("id.example.com\",", "evil.example.com\",");
        let own = object(r#"{"issuer":"https://id.example.com"}"#);
        let error = Metadata::parse_expected(&others, &with(&own)).unwrap_err();
        assert_eq!(error.code(), Code::IssuerMismatch);
    }

    #[test]
    fn incomplete_metadata_needs_discovery() {
        let complete =
            r#"{"issuer":"","authorization_endpoint":"","token_endpoint":"","jwks_uri":""}"#;
        assert!(Metadata::is_complete(&object(complete), true));
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ] {
            let without = complete.replace(&format!("\"{name}\""), "\"unknown\"");
            assert!(!Metadata::is_complete(&object(&without), true), "{name}");
        }
    }

    fn object(json: &str) -> Object {
        match Value::parse(json) {
            Ok(Value::Object(ref mut object)) => core::mem::take(object),
            _ => panic!("not an object"),
        }
    }
}
