//! A provider is what its own metadata says, if that says it is the configured issuer (RFC 8414,
//! OpenID Connect Discovery 1.0).
//!
//! Metadata that was configured instead of discovered goes through the same checks.

use crate::base::error::quote_url;
use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::json::{self, Object, Value};
use crate::codec::url;
use crate::oauth::jwks::Algorithm;
use crate::oauth::pkce;
use crate::prelude::*;
use crate::{Code, Error, Result};
use core::cell::OnceCell;

/// A longer discovery document is refused, in bytes.
pub const MAX_LEN: usize = 128 * 1024;

const NO_ALGORITHM: &str = if cfg!(feature = "extended") {
    msg!(
        " contains none of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 and EdDSA"
    )
} else {
    msg!(
        " contains none of RS256, PS256 and ES256; name another one in idTokenSignedResponseAlg, for which strongroom_extended_bg.wasm is loaded"
    )
};

/// What this crate uses of a provider's metadata. Every endpoint is an absolute `https` URL, or
/// `http` on this very device, without user information and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer identifier, exactly as configured.
    pub issuer: String,
    /// Where the user is sent to log in.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: String,
    /// Where the issuer's keys are: see [`crate::oauth::jwks`].
    pub jwks_uri: String,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where the user is sent to log out (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
    /// Where authorization requests are pushed (RFC 9126 5).
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Whether they must be.
    pub require_pushed_authorization_requests: bool,
    /// Where logins on other devices begin (RFC 8628 4).
    #[cfg(feature = "extended")]
    pub device_authorization_endpoint: Option<String>,
    /// See [`Metadata::endpoints`].
    endpoints: Vec<String>,
    /// Whether an authorization response without `iss` must be refused (RFC 9207 section 2.4).
    pub authorization_response_iss_parameter_supported: bool,
    /// The algorithms that ID tokens may be signed with: those of
    /// `id_token_signing_alg_values_supported` that this crate accepts, or all of them where the
    /// provider does not say.
    pub id_token_signing_algorithms: Vec<Algorithm>,
}

impl Metadata {
    /// Reads the discovery document of `issuer`.
    ///
    /// # Errors
    /// [`Code::MetadataInvalid`] if it is longer than [`MAX_LEN`] or not a strict JSON object, else
    /// as [`Metadata::from_object`].
    pub fn parse(json: &str, issuer: &str) -> Result<Box<Self>> {
        Self::parse_with(None, json, issuer)
    }

    /// Reads the discovery document of `issuer`, with configured members in place of or beside its own. Its `issuer`
    /// cannot be replaced: it shows that the document is that issuer's.
    ///
    /// # Errors
    /// As [`Metadata::parse`].
    pub fn parse_with(configured: Option<&Object>, json: &str, issuer: &str) -> Result<Box<Self>> {
        if json.len() > MAX_LEN {
            return Err(invalid(&[msg!("it is longer than 128 KiB")]));
        }
        match Value::parse(json) {
            Ok(Value::Object(ref document)) => Self::read(configured, document, issuer),
            Ok(_) => Err(invalid(&[msg!("it is not a JSON object")])),
            Err(_) => Err(invalid(&[msg!("it is not strict JSON")])),
        }
    }

    /// Returns true if configured metadata has what no login can do without: then nothing is discovered.
    #[must_use]
    pub fn is_complete(document: &Object) -> bool {
        let mut needed = [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ]
        .iter();
        needed.all(|name| document.get(name).is_some())
    }

    /// Reads metadata, discovered or configured, for `issuer`.
    ///
    /// # Errors
    /// [`Code::IssuerMismatch`] if its `issuer` is not character for character the configured one
    /// (RFC 8414 section 3.3), [`Code::MetadataInvalid`] with the name of the member if one is
    /// missing or unusable.
    pub fn from_object(document: &Object, issuer: &str) -> Result<Box<Self>> {
        Self::read(None, document, issuer)
    }

    fn read(configured: Option<&Object>, document: &Object, issuer: &str) -> Result<Box<Self>> {
        let reader = MetadataReader {
            configured,
            document,
            is_https: issuer.starts_with("https:"),
            fault: OnceCell::new(),
        };
        let said = reader.required("issuer");
        if said != issuer {
            let message = [
                msg!("the provider's metadata is of issuer "),
                &quote_url(said),
                msg!(", not of "),
                &quote_url(issuer),
            ];
            let mismatch = || Error::of(Code::IssuerMismatch, &message);
            reader.fault.get_or_init(mismatch);
        }
        reader.check_pkce();
        let metadata = Box::new(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: reader.endpoint("authorization_endpoint"),
            token_endpoint: reader.endpoint("token_endpoint"),
            jwks_uri: reader.endpoint("jwks_uri"),
            revocation_endpoint: reader.optional_endpoint("revocation_endpoint"),
            end_session_endpoint: reader.optional_endpoint("end_session_endpoint"),
            pushed_authorization_request_endpoint: reader
                .optional_endpoint("pushed_authorization_request_endpoint"),
            require_pushed_authorization_requests: reader
                .flag("require_pushed_authorization_requests"),
            #[cfg(feature = "extended")]
            device_authorization_endpoint: reader
                .optional_endpoint("device_authorization_endpoint"),
            endpoints: reader.endpoints(),
            authorization_response_iss_parameter_supported: reader
                .flag("authorization_response_iss_parameter_supported"),
            id_token_signing_algorithms: reader.signing_algorithms(),
        });
        match reader.fault.into_inner() {
            None => Ok(metadata),
            Some(error) => Err(error),
        }
    }

    /// The endpoints that a page's request must not reach: every member whose name ends in `_endpoint`, here and in
    /// `mtls_endpoint_aliases` (RFC 8705 5), and `jwks_uri`. `userinfo_endpoint` is an exception, since it is an API
    /// that takes access tokens (OpenID Connect Core 1.0 section 5.3): a rule can allow it.
    #[must_use]
    pub fn endpoints(&self) -> Vec<&str> {
        let mut endpoints: Vec<&str> = vec![&self.jwks_uri];
        for endpoint in &self.endpoints {
            endpoints.push(endpoint);
        }
        endpoints
    }
}

/// Where `issuer` publishes its metadata (OpenID Connect Discovery 1.0 section 4): the well-known
/// path is appended to the issuer's own.
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    [base, "/.well-known/openid-configuration"].concat()
}

/// The other of the two places where `issuer` may publish its metadata: at RFC 8414 section 3.1 the well-known path is
/// inserted before the issuer's own.
#[must_use]
pub(crate) fn alternative_url(issuer: &str, url: &str) -> String {
    let usual = discovery_url(issuer);
    if url != usual {
        return usual;
    }
    // An issuer is a URL that was parsed: after the scheme come two slashes.
    let (scheme, rest) = strings::split_once(issuer, b'/');
    let (host, path) = strings::split_once(
        rest.and_then(|rest| rest.get(1..)).unwrap_or_default(),
        b'/',
    );
    let path = path.unwrap_or_default();
    let path = path.strip_suffix('/').unwrap_or(path);
    let joint = if path.is_empty() { "" } else { "/" };
    let well_known = "/.well-known/oauth-authorization-server";
    [scheme, "//", host, well_known, joint, path].concat()
}

/// Returns true if the provider says that there is nothing at the requested URL.
pub(crate) fn is_absent(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reply(reply) if reply.status == 404)
}

/// The members of a document. The first fault is kept and looked at once, after all was read: a way
/// out at each member would need code of its own to drop what was read before.
struct MetadataReader<'a> {
    /// Configured members, which replace those of the document or are added to them.
    configured: Option<&'a Object>,
    document: &'a Object,
    /// Whether the issuer is.
    is_https: bool,
    fault: OnceCell<Error>,
}

impl<'a> MetadataReader<'a> {
    #[inline(never)]
    fn refuse(&self, reason: &[&str]) {
        self.fault.get_or_init(|| invalid(reason));
    }

    /// The member called `name`. Providers write `null` for what they do not have.
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
                    msg!(" where a string should be"),
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

    /// A URI is printable ASCII (RFC 3986), and parsers that forgive more do not forgive alike. No
    /// endpoint has a fragment (RFC 6749 sections 3.1 and 3.2).
    fn endpoint(&self, name: &str) -> String {
        let text = self.required(name);
        let is_plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
        // Plain http, to this device, is for issuers that are there themselves.
        let is_plain_http = self.is_https && !text.starts_with("https://");
        if !is_plain || is_plain_http || !url::is_trustworthy(text) {
            self.refuse(&[
                name,
                " is ",
                &quote_url(text),
                msg!(", which is no absolute https URL without user information and fragment"),
            ]);
        }
        text.to_owned()
    }

    fn optional_endpoint(&self, name: &str) -> Option<String> {
        self.get(name).map(|_| self.endpoint(name))
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

    /// RFC 8414 section 2 reads an absent list as "no PKCE". OpenID Connect Discovery does not know
    /// the member, though, and many providers that do check PKCE leave it out; against the others
    /// the `nonce` in the ID token stops an injected code. So only a list that is there and lacks
    /// S256 is believed.
    fn check_pkce(&self) {
        const NAME: &str = "code_challenge_methods_supported";
        let methods = self.strings(NAME);
        if methods.is_some_and(|methods| !methods.contains(&pkce::CHALLENGE_METHOD)) {
            self.refuse(&[NAME, msg!(" does not contain 'S256'")]);
        }
    }

    fn signing_algorithms(&self) -> Vec<Algorithm> {
        const NAME: &str = "id_token_signing_alg_values_supported";
        let Some(names) = self.strings(NAME) else {
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
            self.refuse(&[NAME, NO_ALGORITHM]);
        }
        known
    }
}

/// Reads the endpoints in an object and in those within it, such as `mtls_endpoint_aliases`.
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

/// The text of a JSON document of the provider's. `silent`: what is said if there was no answer.
///
/// # Errors
/// [`Code::ProviderUnavailable`], or [`Code::MetadataInvalid`] after a 404, which does not pass by itself; with what the
/// document is, where, and what came in its place.
pub(crate) fn read_document<'a>(
    outcome: &'a Outcome,
    what: &str,
    url: &str,
    silent: &str,
) -> Result<&'a str> {
    let unavailable = |why| {
        let message = [
            msg!("the provider's "),
            what,
            msg!(" cannot be had from "),
            &quote_url(url),
            ": ",
            why,
        ];
        let code = if is_absent(outcome) {
            Code::MetadataInvalid
        } else {
            Code::ProviderUnavailable
        };
        Err(Error::of(code, &message))
    };
    match outcome {
        Outcome::Failed | Outcome::Opaque => unavailable(silent),
        // Nothing has to be proven here.
        #[cfg(feature = "extended")]
        Outcome::KeyLost => unavailable(""),
        Outcome::Reply(reply) if reply.status != 200 => {
            let mut why = msg!("status ").to_owned();
            json::write_number(&mut why, reply.status.into());
            unavailable(&why)
        }
        Outcome::Reply(reply) => match reply.json_text() {
            Some(text) => Ok(text),
            None => unavailable(msg!("the answer is not JSON")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    /// A whole document, with members added or, given as `"name":` alone, taken out.
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
    fn the_least_that_a_provider_must_say_is_enough() {
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
                #[cfg(feature = "extended")]
                device_authorization_endpoint: None,
                endpoints: [
                    "https://id.example.com/a".to_owned(),
                    "https://id.example.com/t".to_owned(),
                ]
                .to_vec(),
                authorization_response_iss_parameter_supported: false,
                id_token_signing_algorithms: Algorithm::ALL.to_vec(),
            }
        );
    }

    #[test]
    fn all_that_is_used_is_read_and_the_rest_is_ignored() {
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
        assert_eq!(
            metadata.id_token_signing_algorithms,
            [Algorithm::Rs256, Algorithm::EdDsa]
        );
    }

    #[test]
    fn null_for_an_optional_member_is_as_good_as_nothing() {
        let nulls = r#""revocation_endpoint":null,"end_session_endpoint":null,
            "authorization_response_iss_parameter_supported":null,
            "id_token_signing_alg_values_supported":null,
            "code_challenge_methods_supported":null"#;
        assert_eq!(parse(nulls).unwrap(), parse("").unwrap());
    }

    #[test]
    fn the_issuer_must_be_the_configured_one_to_the_letter() {
        for said in [
            "https://id.example.com/",
            "https://ID.example.com",
            "https://id.example.com:443",
            "http://id.example.com",
            "https://id.example.com/tenant",
            "https://evil.test",
            " https://id.example.com",
            "",
        ] {
            let error = parse(&format!(r#""issuer":"{said}""#)).unwrap_err();
            assert_eq!(error.code(), Code::IssuerMismatch, "{said}");
            assert!(error.message().contains(ISSUER));
        }
    }

    #[test]
    fn a_member_that_is_needed_must_be_there_and_a_string() {
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

    #[test]
    fn every_endpoint_is_where_tokens_may_travel() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "revocation_endpoint",
            "end_session_endpoint",
            "pushed_authorization_request_endpoint",
            #[cfg(feature = "extended")]
            "device_authorization_endpoint",
        ] {
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
                assert_invalid(&format!(r#""{name}":"{bad}""#), &format!("{name} is '"));
            }
            for good in ["https://id.example.com:8443/t?a=b", "https://127.0.0.1/t"] {
                assert!(parse(&format!(r#""{name}":"{good}""#)).is_ok(), "{good}");
            }
        }
    }

    #[test]
    fn an_issuer_on_this_device_may_have_plain_endpoints_here_and_nobody_else() {
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
    fn a_list_of_challenge_methods_must_contain_s256() {
        for list in ["[]", r#"["plain"]"#, r#"["s256"]"#] {
            assert_invalid(
                &format!(r#""code_challenge_methods_supported":{list}"#),
                "code_challenge_methods_supported does not contain 'S256'",
            );
        }
    }

    #[test]
    fn a_provider_that_signs_with_nothing_accepted_here_is_refused() {
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
            (
                r#""revocation_endpoint":false"#,
                "revocation_endpoint is or contains a boolean",
            ),
        ] {
            assert_invalid(changes, reason);
        }
    }

    #[test]
    fn what_is_no_strict_json_object_is_refused_whole() {
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
    fn a_hostile_value_is_cut_short_in_the_message() {
        let error = parse(&format!(r#""issuer":"\u001b{}""#, "é".repeat(5000))).unwrap_err();
        assert!(error.message().is_ascii());
        // An issuer is shown in full: it may differ in any character.
        assert!(error.message().len() < 2200, "{}", error.message().len());
    }

    #[test]
    fn unreachable_documents_are_named_in_full() {
        let issuer = ["https://login.example.com/", &"tenant/".repeat(20), "v2.0"].concat();
        let url = discovery_url(&issuer);
        let error = super::read_document(&Outcome::Failed, "discovery document", &url, "no answer");
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
            let usual = discovery_url(issuer);
            assert_eq!(alternative_url(issuer, &usual), other);
            assert_eq!(alternative_url(issuer, other), usual);
        }
    }

    #[test]
    fn the_well_known_path_follows_the_issuers_own() {
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
        let issuer = "https://id.example.com";
        let metadata = Metadata::parse_with(Some(&configured), discovered, issuer).unwrap();
        let expected = Some("https://id.example.com/revoke");
        assert_eq!(metadata.revocation_endpoint.as_deref(), expected);
        assert_eq!(metadata.token_endpoint, "https://id.example.com/own");
        assert_eq!(metadata.jwks_uri, "https://id.example.com/k");
        // It is the document that says whose it is.
        let others = discovered.replace("id.example.com\",", "evil.example.com\",");
        let own = object(r#"{"issuer":"https://id.example.com"}"#);
        let error = Metadata::parse_with(Some(&own), &others, issuer).unwrap_err();
        assert_eq!(error.code(), Code::IssuerMismatch);
    }

    #[test]
    fn incomplete_metadata_needs_discovery() {
        let complete =
            r#"{"issuer":"","authorization_endpoint":"","token_endpoint":"","jwks_uri":""}"#;
        assert!(Metadata::is_complete(&object(complete)));
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ] {
            let without = complete.replace(&format!("\"{name}\""), "\"unknown\"");
            assert!(!Metadata::is_complete(&object(&without)), "{name}");
        }
    }

    fn object(json: &str) -> Object {
        match Value::parse(json) {
            Ok(Value::Object(ref mut object)) => core::mem::take(object),
            _ => panic!("not an object"),
        }
    }
}
