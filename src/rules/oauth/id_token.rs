//! ID token validation: signature and claims (OpenID Connect Core 1.0 sections 3.1.3.7, 3.1.3.8 and 12.2, RFC 8725).
//!
//! A token has one type before its validation, and another type after it. An [`Unverified`] is a token with a valid
//! header. This type gives the host the input for the signature check, and does not expose claims. Only
//! [`Unverified::signature_checked`] turns an [`Unverified`] into an [`Identity`], after all claims have been checked.
//! An unverified token therefore cannot be used as a verified one.

use crate::base::clock::Millis;
use crate::base::error::quote;
use crate::codec::json::{self, MAX_MEMBERS, Object, Value};
use crate::oauth::identity::{Identity, SESSION_EXPIRY, session_lifetime};
use crate::oauth::jwks::{Algorithm, NOT_ALLOWED};
use crate::oauth::jwt::{Jwt, seconds};
use crate::prelude::*;
use crate::{Code, Error, Result, Secret};
use core::cell::OnceCell;

/// Longest `sub`, in ASCII characters (OpenID Connect Core 1.0 section 2).
const MAX_SUB_LEN: usize = 255;

/// The values that an ID token is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The configured issuer identifier.
    pub issuer: &'a str,
    /// This client's `client_id`.
    pub client_id: &'a str,
    /// Audiences that the token may have in addition to this client, even if the token has no `azp`.
    pub trusted_audiences: &'a [String],
    /// Claims that must have the same values as in the ID token of the login.
    pub same_claims: &'a [String],
    /// The current time, in seconds since the Unix epoch.
    pub now_seconds: u64,
    /// Seconds by which the issuer's clock may differ.
    pub tolerance_seconds: u64,
    /// The access token of the same response, for `at_hash`. Empty if the response has no usable one.
    pub access_token: &'a Secret,
    /// The grant for which the ID token was issued.
    pub occasion: Occasion<'a>,
}

impl Expected<'_> {
    fn trusts(&self, audience: &str) -> bool {
        self.trusted_audiences.iter().any(|one| one == audience)
    }
}

/// The grant for which an ID token was issued.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// An authorization code was redeemed (OpenID Connect Core 1.0 section 3.1.3.7).
    CodeExchange {
        /// The `nonce` of the authorization request.
        nonce: &'a Secret,
        /// The `max_age` of the authorization request, in seconds, if it asked for one.
        max_age_seconds: Option<u64>,
    },
    /// A device code was redeemed (RFC 8628 3.5). There is no authorization request in this flow, so the ID token has
    /// no `nonce`.
    DeviceGrant,
    /// A refresh token was redeemed (OpenID Connect Core 1.0 section 12.2).
    Refresh {
        /// The ID token of the login, not the ID token of a later refresh.
        original: &'a Identity,
    },
}

/// The reason for which an ID token is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The token is invalid: [`Code::IdTokenInvalid`], [`Code::IssuerMismatch`] or [`Code::SignInNotRepeated`].
    Invalid(Error),
    /// A refresh returned a correctly signed ID token for another user (`sub`) or from another issuer (`iss`). The
    /// session must end.
    OtherUser(Error),
    /// A refresh returned a correctly signed ID token in which a claim of [`Expected::same_claims`] has another value. The
    /// session must end, and the tokens of the response must not be revoked: the grant may be that of another session, too.
    OtherClaims(Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid(error)
            | Rejected::OtherUser(error)
            | Rejected::OtherClaims(error) => error,
        }
    }
}

/// An ID token with a valid header, whose signature has not been checked.
#[derive(Debug)]
pub struct Unverified {
    jwt: Box<Jwt>,
    algorithm: Algorithm,
}

impl Unverified {
    /// Parses `token` and checks its header. `allowed` contains only the configured signature algorithm, or, if none is
    /// configured, the algorithms in the issuer's metadata. Keys and key URLs in the header (`jwk`, `jku`, `x5c`,
    /// `x5u`) are ignored.
    ///
    /// # Errors
    /// [`Code::IdTokenInvalid`] if the token is [malformed](crate::oauth::jwt::Malformed), its `alg` is not
    /// in `allowed`, or it has a `typ` other than `JWT` or `application/jwt`.
    pub fn parse(token: &str, allowed: &[Algorithm]) -> Result<Self> {
        let jwt = Jwt::parse(token)
            .map_err(|reason| invalid(&[msg!("the ID token "), &reason.describe()]))?;
        let algorithm = Algorithm::from_name(jwt.alg())
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or_else(|| {
                invalid(&[
                    msg!("the ID token's alg is "),
                    &quote(jwt.alg()),
                    NOT_ALLOWED,
                ])
            })?;
        match jwt.typ() {
            Some(typ) if !jwt.is_of_type("jwt") => Err(invalid(&[
                msg!("the ID token's typ is "),
                &quote(typ),
                msg!(", not 'JWT'"),
            ])),
            _ => Ok(Self { jwt, algorithm }),
        }
    }

    /// Returns the algorithm of the signature, by which the key is also [selected](crate::oauth::jwks::Jwks::select).
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the `kid`, by which the key is selected.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jwt.kid()
    }

    /// Returns the JWS signing input (RFC 7515 section 5.1).
    #[must_use]
    pub fn signing_input(&self) -> &str {
        self.jwt.signing_input()
    }

    /// Returns the decoded signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.jwt.signature()
    }

    /// Checks the claims, after the host has checked the signature. `valid` is the result of the signature check.
    ///
    /// # Errors
    /// [`Rejected::Invalid`] if the signature or a claim is not valid; [`Rejected::OtherUser`] if the token is not for
    /// the user of the session; [`Rejected::OtherClaims`] if a claim has changed that must not.
    pub fn signature_checked(
        self,
        valid: bool,
        expected: &Expected<'_>,
    ) -> core::result::Result<Identity, Rejected> {
        // control: id_token_signature_is_checked
        if !valid {
            return Err(invalid(&[msg!(
                "the ID token's signature does not verify with the issuer's key"
            )])
            .into());
        }
        let check = ClaimsCheck {
            claims: self.jwt.claims(),
            expected,
            rejection: OnceCell::new(),
        };
        check.issuer();
        check.subject();
        check.audience();
        check.times();
        check.session_expiry();
        check.access_token_hash(self.algorithm);
        match expected.occasion {
            Occasion::CodeExchange {
                nonce,
                max_age_seconds,
            } => check.code_exchange(nonce, max_age_seconds),
            Occasion::DeviceGrant => {}
            Occasion::Refresh { original } => check.refresh(original),
        }
        let changed = check.changed_claim();
        match (check.rejection.into_inner(), changed) {
            (Some(other @ Rejected::OtherUser(_)), _) => Err(other),
            // Another flaw of the token does not hide the change.
            (_, Some(claim)) => Err(Rejected::OtherClaims(wrong(claim, OTHER))),
            (Some(rejected), None) => Err(rejected),
            (None, None) => Ok(Identity::of_id_token(self.jwt)),
        }
    }
}

const OTHER: &str = msg!("differs from that of the login");

const NOT_AFTER_IAT: &str = msg!("is not an integer after iat");

/// Returns a warning if the token of a refresh states the end of the session in a way that is not valid. A login fails
/// with such a token.
pub fn session_expiry_warning(refreshed: &Identity) -> Option<Error> {
    has_invalid_session_expiry(refreshed.claims()).then(|| wrong(SESSION_EXPIRY, NOT_AFTER_IAT))
}

/// Returns a warning about the first claim that must stay the same and that the ID token of a login lacks.
pub fn missing_claim_warning(user: &Identity, same_claims: &[String]) -> Option<Error> {
    let is_missing = |name: &&String| user.stated_claims().get(name).is_none();
    let message = [
        msg!("refreshes are not compared by a claim that the login's ID token lacks: "),
        same_claims.iter().find(is_missing)?,
    ];
    Some(Error::of(Code::ClaimMissing, &message))
}

/// Returns true if a claim that must stay the same has another value in the login of `after` than in that of `before`.
#[must_use]
pub fn has_other_claims(before: &Identity, after: &Identity, same_claims: &[String]) -> bool {
    changed_claim(before.stated_claims(), after.stated_claims(), same_claims).is_some()
}

/// Returns the first of these claims that has two different values. A claim that is missing on one side is not compared.
fn changed_claim<'a>(
    before: &Object,
    after: &Object,
    same_claims: &'a [String],
) -> Option<&'a str> {
    let differs = |name: &&String| {
        let values = before.get(name).zip(after.get(name));
        values.is_some_and(|(first, now)| !is_same(first, now))
    };
    Some(same_claims.iter().find(differs)?)
}

/// Returns true if two values of a claim are the same. Arrays are sets, and a single value is a set of one. Numbers and objects
/// are the same if they are written in the same way.
fn is_same(one: &Value, other: &Value) -> bool {
    let [one, other] = [one, other].map(elements);
    one == other
        // Larger sets would take long to compare.
        || one.len().max(other.len()) <= MAX_MEMBERS
            && one.iter().all(|value| other.contains(value))
            && other.iter().all(|value| one.contains(value))
}

/// Returns the elements of an array, or the value alone.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(all) => all,
        one => core::slice::from_ref(one),
    }
}

fn has_invalid_session_expiry(claims: &Object) -> bool {
    claims.get(SESSION_EXPIRY).is_some() && session_lifetime(claims) == Millis::MAX
}

/// The checks of the claims. The first error is kept, and returned after all checks: early returns would be more code.
struct ClaimsCheck<'a> {
    claims: &'a Object,
    expected: &'a Expected<'a>,
    rejection: OnceCell<Rejected>,
}

impl<'a> ClaimsCheck<'a> {
    fn issuer(&self) {
        let issuer = self.required_text("iss");
        if issuer == self.expected.issuer {
            return;
        }
        let message = [
            msg!("the ID token's iss is "),
            &quote(issuer),
            msg!(", not "),
            &quote(self.expected.issuer),
        ];
        let error = Error::of(Code::IssuerMismatch, &message);
        self.reject(match self.expected.occasion {
            Occasion::CodeExchange { .. } => Rejected::Invalid(error),
            Occasion::DeviceGrant => Rejected::Invalid(error),
            Occasion::Refresh { .. } => Rejected::OtherUser(error),
        });
    }

    fn subject(&self) {
        let subject = self.required_text("sub");
        if subject.is_empty() || subject.len() > MAX_SUB_LEN {
            self.wrong("sub", msg!("is not 1 to 255 characters long"));
        }
        if let Occasion::Refresh { original } = self.expected.occasion
            && original.subject() != subject
        {
            let error = wrong("sub", msg!("does not match the session"));
            self.reject(Rejected::OtherUser(error));
        }
    }

    /// Returns a claim that must stay the same at a refresh and has another value than in the login's ID token. A claim that
    /// one of the two ID tokens lacks is not compared.
    fn changed_claim(&self) -> Option<&'a str> {
        let Occasion::Refresh { original } = self.expected.occasion else {
            return None;
        };
        changed_claim(
            original.stated_claims(),
            self.claims,
            self.expected.same_claims,
        )
    }

    /// Checks `aud` and `azp` (OpenID Connect Core 1.0 section 3.1.3.7, points 3 to 5). Additional audiences are
    /// accepted if the configuration trusts them, or if `azp` is this client.
    fn audience(&self) {
        let client_id = self.expected.client_id;
        let audiences = self.claims.get("aud").map_or(&[][..], elements);
        let mut has_client = false;
        let mut has_others = false;
        for audience in audiences {
            match audience.as_str() {
                Some(audience) if audience == client_id => has_client = true,
                Some(audience) if self.expected.trusts(audience) => {}
                Some(_) => has_others = true,
                None => self.wrong("aud", msg!("is not a string or an array of strings")),
            }
        }
        let wrong_because = |claim, what| {
            let what = [what, " ", &quote(client_id)].concat();
            self.wrong(claim, &what);
        };
        if !has_client {
            wrong_because("aud", msg!("does not contain"));
        }
        match self.text("azp") {
            Some(azp) if azp != client_id => wrong_because("azp", msg!("is not")),
            None if has_others => self.wrong(
                "aud",
                msg!("has audiences that trustedAudiences does not name, and there is no azp"),
            ),
            _ => {}
        }
    }

    fn times(&self) {
        let tolerance = self.expected.tolerance_seconds;
        let now = self.expected.now_seconds;
        let expires = self.required_time("exp");
        if now >= expires.saturating_add(tolerance) {
            self.wrong_by("exp", msg!("is in the past by "), now - expires);
        }
        let latest = now.saturating_add(tolerance);
        self.required_time("iat");
        for name in ["iat", "nbf", "auth_time"] {
            if let Some(time) = self.time(name).filter(|time| *time > latest) {
                self.wrong_by(name, msg!("is in the future by "), time - now);
            }
        }
    }

    /// Checks `session_expiry`. A refresh must not fail because of this claim: its refresh token is consumed, and the
    /// session's end stays as it was.
    fn session_expiry(&self) {
        let is_refresh = matches!(self.expected.occasion, Occasion::Refresh { .. });
        if !is_refresh && has_invalid_session_expiry(self.claims) {
            self.wrong(SESSION_EXPIRY, NOT_AFTER_IAT);
        }
    }

    /// Checks `at_hash` (OpenID Connect Core 1.0 section 3.1.3.8). The hash function is that of the signature
    /// algorithm.
    fn access_token_hash(&self, algorithm: Algorithm) {
        let Some(at_hash) = self.text("at_hash") else {
            return;
        };
        let access_token = self.expected.access_token.expose().as_bytes();
        if !access_token.is_empty() && at_hash != algorithm.at_hash(access_token) {
            self.wrong("at_hash", msg!("does not match the access token"));
        }
    }

    fn code_exchange(&self, nonce: &Secret, max_age_seconds: Option<u64>) {
        if !nonce.matches(self.required_text("nonce")) {
            self.wrong("nonce", msg!("does not match the login"));
        }
        let Some(max_age) = max_age_seconds else {
            return;
        };
        let oldest = self
            .required_time("auth_time")
            .saturating_add(max_age)
            .saturating_add(self.expected.tolerance_seconds);
        if self.required_time("iat") > oldest {
            // By the provider's own clock, so the clock of this device is not the reason.
            let message =
                msg!("the ID token's auth_time is longer before its iat than max_age allows");
            let error = Error::new(Code::SignInNotRepeated, message);
            self.reject(Rejected::Invalid(error));
        } else if self.expected.now_seconds > oldest {
            self.wrong(
                "auth_time",
                msg!("is longer ago than max_age allows: the provider did not ask the user to sign in again, or a clock is wrong"),
            );
        }
    }

    /// Checks the rules of OpenID Connect Core 1.0 section 12.2, except the rules for `iss`, `sub` and `aud`.
    fn refresh(&self, original: &Identity) {
        // The servers of one issuer may have different clocks, so `iat` is compared with a tolerance.
        let issued = self
            .required_time("iat")
            .saturating_add(self.expected.tolerance_seconds);
        if seconds(original.claims(), "iat").is_some_and(|first| issued < first) {
            self.wrong("iat", msg!("is earlier than that of the login"));
        }
        if let (Some(first), Some(now)) = (original.auth_time(), self.time("auth_time"))
            && first != now
        {
            self.wrong("auth_time", OTHER);
        }
        if self.text("azp") != original.claims().str("azp") {
            self.wrong("azp", OTHER);
        }
        if let Some(nonce) = self.text("nonce") {
            let first = original.claims().str("nonce").map(Secret::from);
            if !first.is_some_and(|first| first.matches(nonce)) {
                self.wrong("nonce", OTHER);
            }
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.claims.get(name)?.as_str();
        if text.is_none() {
            self.wrong(name, msg!("is not a string"));
        }
        text
    }

    fn required_text(&self, name: &str) -> &'a str {
        let text = self.text(name);
        if text.is_none() {
            self.wrong(name, msg!("is missing"));
        }
        text.unwrap_or_default()
    }

    fn time(&self, name: &str) -> Option<u64> {
        self.claims.get(name)?;
        let time = seconds(self.claims, name);
        if time.is_none() {
            self.wrong(name, msg!("is not a valid NumericDate"));
        }
        time
    }

    fn required_time(&self, name: &str) -> u64 {
        let time = self.time(name);
        if time.is_none() {
            self.wrong(name, msg!("is missing"));
        }
        time.unwrap_or_default()
    }

    fn wrong(&self, claim: &str, what: &str) {
        self.reject(Rejected::Invalid(wrong(claim, what)));
    }

    /// Rejects a time. The message has the difference in seconds, by which a developer recognizes a wrong clock.
    fn wrong_by(&self, claim: &str, what: &str, seconds: u64) {
        let mut what = what.to_owned();
        json::write_number(&mut what, seconds);
        what.push_str(" s");
        self.wrong(claim, &what);
    }

    /// Keeps the first rejection.
    fn reject(&self, rejected: Rejected) {
        self.rejection.get_or_init(|| rejected);
    }
}

fn invalid(message: &[&str]) -> Error {
    Error::of(Code::IdTokenInvalid, message)
}

/// Returns the error for a claim. The error's message does not quote the token.
fn wrong(claim: &str, what: &str) -> Error {
    invalid(&[msg!("the ID token's "), claim, " ", what])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::base64url;

    const ISSUER: &str = "https://id.example.com";
    const NOW: u64 = 1_800_000_000;
    const TOLERANCE: u64 = 30;
    /// The access token of the example in OpenID Connect Core 1.0 appendix A.3.
    const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";

    /// The claims of a valid login; each test changes some of them.
    const LOGIN: [(&str, &str); 7] = [
        ("iss", r#""https://id.example.com""#),
        ("sub", r#""joe""#),
        ("aud", r#""spa""#),
        ("exp", "1800000300"),
        ("iat", "1800000000"),
        ("nonce", r#""n-1""#),
        ("at_hash", r#""77QmUPtjPfzWtF2AnpK9RQ""#),
    ];

    /// Returns `LOGIN` with claims changed or added; an empty value removes the claim.
    fn claims(changes: &[(&str, &str)]) -> String {
        let kept = LOGIN
            .iter()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let members: Vec<String> = kept
            .chain(changes.iter().filter(|(_, value)| !value.is_empty()))
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    fn token(header: &str, claims: &str) -> String {
        [header.as_bytes(), claims.as_bytes(), b"signature"]
            .map(base64url::encode)
            .join(".")
    }

    fn unverified(changes: &[(&str, &str)]) -> Unverified {
        let token = token(r#"{"alg":"ES256"}"#, &claims(changes));
        Unverified::parse(&token, &Algorithm::ALL).unwrap()
    }

    type Checked = core::result::Result<Identity, Rejected>;

    fn expected<'a>(access_token: &'a Secret, occasion: Occasion<'a>) -> Expected<'a> {
        Expected {
            issuer: ISSUER,
            client_id: "spa",
            trusted_audiences: &[],
            same_claims: &[],
            now_seconds: NOW,
            tolerance_seconds: TOLERANCE,
            access_token,
            occasion,
        }
    }

    fn check(changes: &[(&str, &str)], occasion: Occasion<'_>, now_seconds: u64) -> Checked {
        let access_token = Secret::from(ACCESS_TOKEN);
        let expected = Expected {
            trusted_audiences: &["https://trusted.test".to_owned()],
            now_seconds,
            ..expected(&access_token, occasion)
        };
        unverified(changes).signature_checked(true, &expected)
    }

    fn login_at(changes: &[(&str, &str)], max_age_seconds: Option<u64>, now: u64) -> Checked {
        let occasion = Occasion::CodeExchange {
            nonce: &Secret::from("n-1"),
            max_age_seconds,
        };
        check(changes, occasion, now)
    }

    fn login(changes: &[(&str, &str)]) -> Checked {
        login_at(changes, None, NOW)
    }

    fn refresh(original: &[(&str, &str)], changes: &[(&str, &str)]) -> Checked {
        let original = &login(original).unwrap();
        check(changes, Occasion::Refresh { original }, NOW)
    }

    #[track_caller]
    fn assert_invalid(checked: Checked, reason: &str) {
        match checked {
            Err(Rejected::Invalid(error)) => {
                assert_eq!(error.code(), Code::IdTokenInvalid, "{error}");
                assert_eq!(error.message(), format!("the ID token's {reason}"));
            }
            other => panic!("{other:?} instead of: {reason}"),
        }
    }

    #[test]
    fn login_returns_the_user() {
        let id_token = login(&[("auth_time", "1799999000"), ("name", r#""Joe""#)]).unwrap();
        assert_eq!(id_token.subject(), "joe");
        assert_eq!(id_token.auth_time(), Some(1_799_999_000));
        assert_eq!(id_token.claims().str("name"), Some("Joe"));
        assert_eq!(id_token.id_token().unwrap().expose().split('.').count(), 3);
        assert_eq!(format!("{id_token:?}"), "Identity(…)");
    }

    #[test]
    fn rejects_algorithms_that_are_not_allowed() {
        for alg in [
            "HS256", "HS384", "HS512", "RS384", "ES512", "es256", "ES256 ", "PS256", "dir", "",
        ] {
            let token = token(&format!(r#"{{"alg":"{alg}"}}"#), &claims(&[]));
            let allowed = [Algorithm::Es256, Algorithm::Rs256];
            let error = Unverified::parse(&token, &allowed).unwrap_err();
            assert_eq!(error.code(), Code::IdTokenInvalid);
            let start = format!("the ID token's alg is '{alg}'{NOT_ALLOWED}");
            assert!(error.message().starts_with(&start), "{error}");
            assert!(error.message().contains("idTokenSignedResponseAlg"));
        }
        let token = token(r#"{"alg":"none"}"#, &claims(&[]));
        let error = Unverified::parse(&token, &Algorithm::ALL).unwrap_err();
        assert_eq!(error.message(), "the ID token is not signed");
    }

    #[test]
    fn rejects_other_token_types() {
        let parse = |typ: &str| {
            let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
            Unverified::parse(&token(&header, &claims(&[])), &Algorithm::ALL)
        };
        for typ in ["JWT", "jwt", "Jwt", "application/jwt", "Application/JWT"] {
            assert!(parse(typ).is_ok(), "{typ}");
        }
        for typ in [
            "at+jwt",
            "application/at+jwt",
            "application/application/jwt",
            "text/jwt",
            "logout+jwt",
            "dpop+jwt",
            "secevent+jwt",
            "JOSE",
            "",
        ] {
            let error = parse(typ).unwrap_err();
            assert_eq!(error.code(), Code::IdTokenInvalid);
            assert_eq!(
                error.message(),
                format!("the ID token's typ is '{typ}', not 'JWT'")
            );
        }
    }

    #[test]
    fn keys_in_the_header_are_ignored() {
        let header =
            r#"{"alg":"ES256","kid":"../x","jku":"https://evil.test","jwk":{"kty":"oct"}}"#;
        let token = token(header, &claims(&[]));
        let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
        assert_eq!(unverified.algorithm(), Algorithm::Es256);
        assert_eq!(unverified.kid(), Some("../x"));
        assert_eq!(unverified.signature(), b"signature");
        assert!(token.starts_with(unverified.signing_input()));
        assert!(!format!("{unverified:?}").contains("joe"));
    }

    #[test]
    fn invalid_signature_is_rejected_despite_valid_claims() {
        let original = &login(&[]).unwrap();
        let nonce = &Secret::from("n-1");
        let access_token = &Secret::from(ACCESS_TOKEN);
        for occasion in [
            Occasion::CodeExchange {
                nonce,
                max_age_seconds: None,
            },
            Occasion::Refresh { original },
        ] {
            let expected = expected(access_token, occasion);
            for changes in [&[][..], &[("sub", r#""eve""#)]] {
                assert_invalid(
                    unverified(changes).signature_checked(false, &expected),
                    "signature does not verify with the issuer's key",
                );
            }
        }
    }

    #[test]
    fn issuer_is_compared_exactly() {
        for iss in [
            "https://id.example.com/",
            "https://ID.EXAMPLE.COM",
            "http://id.example.com",
            "https://id.example.com:443",
            "https://evil.test",
            "",
        ] {
            let checked = login(&[("iss", &format!("\"{iss}\""))]);
            let Err(Rejected::Invalid(error)) = checked else {
                panic!("{iss}: {checked:?}");
            };
            assert_eq!(error.code(), Code::IssuerMismatch);
            assert_eq!(
                error.message(),
                format!("the ID token's iss is '{iss}', not 'https://id.example.com'")
            );
        }
    }

    // claim: url-5
    #[test]
    fn rejects_each_invalid_claim() {
        let long = format!("\"{}\"", "a".repeat(256));
        let invalid_date = "is not a valid NumericDate";
        for (claim, value, reason) in [
            ("iss", "", "is missing"),
            ("iss", "1", "is not a string"),
            ("iss", r#"["https://id.example.com"]"#, "is not a string"),
            ("sub", "", "is missing"),
            ("sub", "7", "is not a string"),
            ("sub", "null", "is not a string"),
            ("sub", r#""""#, "is not 1 to 255 characters long"),
            ("sub", &long, "is not 1 to 255 characters long"),
            ("aud", "", "does not contain 'spa'"),
            ("aud", "[]", "does not contain 'spa'"),
            ("aud", r#""""#, "does not contain 'spa'"),
            ("aud", r#""SPA""#, "does not contain 'spa'"),
            ("aud", r#""spa ""#, "does not contain 'spa'"),
            ("aud", r#"["api","other"]"#, "does not contain 'spa'"),
            ("aud", "{}", "is not a string or an array of strings"),
            ("aud", "[1]", "is not a string or an array of strings"),
            ("aud", "null", "is not a string or an array of strings"),
            (
                "aud",
                r#"["spa",1]"#,
                "is not a string or an array of strings",
            ),
            (
                "aud",
                r#"[["spa"]]"#,
                "is not a string or an array of strings",
            ),
            (
                "aud",
                r#"["spa","api"]"#,
                "has audiences that trustedAudiences does not name, and there is no azp",
            ),
            (
                "aud",
                r#"["spa","https://trusted.test","api"]"#,
                "has audiences that trustedAudiences does not name, and there is no azp",
            ),
            (
                "aud",
                r#"["https://trusted.test"]"#,
                "does not contain 'spa'",
            ),
            ("azp", r#""other""#, "is not 'spa'"),
            ("azp", r#""""#, "is not 'spa'"),
            ("azp", "1", "is not a string"),
            ("exp", "", "is missing"),
            ("exp", r#""1800000300""#, invalid_date),
            ("exp", "null", invalid_date),
            ("exp", "true", invalid_date),
            ("exp", "-1", invalid_date),
            ("exp", "-1800000300.5", invalid_date),
            ("exp", "18e8", invalid_date),
            ("exp", "1799999970.9", "is in the past by 30 s"),
            ("exp", "1e400", invalid_date),
            ("exp", "1e20", invalid_date),
            ("exp", "1800000300000", invalid_date),
            ("exp", "0", "is in the past by 1800000000 s"),
            ("iat", "", "is missing"),
            ("iat", r#""1800000000""#, invalid_date),
            ("iat", "1.8e9", invalid_date),
            ("iat", "1800000031", "is in the future by 31 s"),
            ("iat", "1800000030.1", "is in the future by 31 s"),
            ("nbf", "1800000030.1", "is in the future by 31 s"),
            ("nbf", "1800003600", "is in the future by 3600 s"),
            ("nbf", "null", invalid_date),
            ("auth_time", "1800000031", "is in the future by 31 s"),
            ("auth_time", r#""then""#, invalid_date),
            ("nonce", "", "is missing"),
            ("nonce", r#"["n-1"]"#, "is not a string"),
            ("nonce", r#""n-2""#, "does not match the login"),
            ("nonce", r#""""#, "does not match the login"),
            ("nonce", r#""n-1 ""#, "does not match the login"),
            ("at_hash", "1", "is not a string"),
            ("at_hash", r#""""#, "does not match the access token"),
            (
                "at_hash",
                r#""77QmUPtjPfzWtF2AnpK9RR""#,
                "does not match the access token",
            ),
            (
                "at_hash",
                r#""77QmUPtjPfzWtF2AnpK9RQ==""#,
                "does not match the access token",
            ),
        ] {
            assert_invalid(login(&[(claim, value)]), &format!("{claim} {reason}"));
        }
    }

    #[test]
    fn accepts_variants_of_valid_claims() {
        let longest = format!("\"{}\"", "a".repeat(255));
        for changes in [
            &[("aud", r#"["spa"]"#)][..],
            &[("azp", r#""spa""#)],
            &[("aud", r#"["api","spa"]"#), ("azp", r#""spa""#)],
            &[("aud", r#"["https://trusted.test","spa"]"#)],
            &[("sub", &longest)],
            &[("iat", "1800000030")],
            &[("nbf", "1800000030")],
            &[("exp", "1799999971")],
            &[("exp", "1799999971.923858")],
            &[("iat", "1800000029.1")],
            &[("nbf", "1800000030.0")],
            &[("auth_time", "1800000030.923858")],
            &[("at_hash", "")],
            &[("acr", r#""0""#)],
            &[("unknown", "{}")],
        ] {
            assert!(login(changes).is_ok(), "{changes:?}");
        }
    }

    #[test]
    fn id_token_expires_after_exp_and_tolerance() {
        assert!(login_at(&[], None, NOW + 329).is_ok());
        assert_invalid(login_at(&[], None, NOW + 330), "exp is in the past by 30 s");
        let reason = format!("exp is in the past by {} s", u64::MAX - NOW - 300);
        assert_invalid(login_at(&[], None, u64::MAX), &reason);
    }

    #[test]
    fn fractional_auth_time_is_rounded_down() {
        let id_token = login(&[("auth_time", "1795262980.923858")]).unwrap();
        assert_eq!(id_token.auth_time(), Some(1_795_262_980));
        let first = [("auth_time", "1795262980.923858")];
        for later in ["1795262980", "1795262980.1", "1795262980.923858"] {
            assert!(refresh(&first, &[("auth_time", later)]).is_ok(), "{later}");
        }
        assert_invalid(
            refresh(&first, &[("auth_time", "1795262981.0")]),
            "auth_time differs from that of the login",
        );
    }

    #[test]
    fn max_age_requires_recent_auth_time() {
        assert_invalid(login_at(&[], Some(60), NOW), "auth_time is missing");
        let at = |auth_time: u64| {
            let auth_time = auth_time.to_string();
            login_at(&[("auth_time", &auth_time)], Some(60), NOW)
        };
        assert!(at(NOW).is_ok());
        assert!(at(NOW - 90).is_ok());
        // By the provider's own clock, the user has not signed in again.
        let Err(Rejected::Invalid(error)) = at(NOW - 91) else {
            panic!("not rejected");
        };
        assert_eq!(error.code(), Code::SignInNotRepeated, "{error}");
        // The token was issued in time, so this device's clock may be wrong.
        let iat = (NOW - 1).to_string();
        let auth_time = (NOW - 91).to_string();
        let changes = [("auth_time", &*auth_time), ("iat", &*iat)];
        assert_invalid(
            login_at(&changes, Some(60), NOW),
            "auth_time is longer ago than max_age allows: the provider did not ask the user to sign in again, or a clock is wrong",
        );
        assert!(login_at(&[("auth_time", "0")], Some(u64::MAX), NOW).is_ok());
        assert!(login_at(&[("auth_time", "0")], None, NOW).is_ok());
    }

    fn login_with_hash(alg: Algorithm, at_hash: &str) -> Checked {
        let at_hash = format!("\"{at_hash}\"");
        let header = format!(r#"{{"alg":"{}"}}"#, alg.name());
        let token = token(&header, &claims(&[("at_hash", &at_hash)]));
        let nonce = &Secret::from("n-1");
        let occasion = Occasion::CodeExchange {
            nonce,
            max_age_seconds: None,
        };
        let access_token = Secret::from(ACCESS_TOKEN);
        let expected = expected(&access_token, occasion);
        let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
        unverified.signature_checked(true, &expected)
    }

    // The expected hashes come from `ring`.
    #[test]
    fn at_hash_uses_the_hash_of_the_algorithm() {
        use ring::digest::{SHA256, SHA384, SHA512, digest};
        for alg in Algorithm::ALL {
            for hash in [&SHA256, &SHA384, &SHA512] {
                let whole = digest(hash, ACCESS_TOKEN.as_bytes());
                let half = base64url::encode(&whole.as_ref()[..hash.output_len() / 2]);
                let its = match alg.name() {
                    "EdDSA" => 512,
                    name => name[2..].parse::<usize>().unwrap(),
                };
                let checked = login_with_hash(alg, &half);
                if hash.output_len() * 8 == its {
                    assert!(checked.is_ok(), "{alg:?}");
                } else {
                    assert_invalid(checked, "at_hash does not match the access token");
                }
            }
        }
    }

    #[test]
    fn refreshed_token_may_omit_nonce() {
        let login = [("auth_time", "1799999000"), ("azp", r#""spa""#)];
        let azp = ("azp", r#""spa""#);
        for changes in [
            &[azp, ("nonce", "")][..],
            &[azp],
            &[azp, ("auth_time", "1799999000")],
            &[azp, ("iat", "1800000030"), ("exp", "1800009000")],
            &[azp, ("iat", "1799999970")],
            &[azp, ("aud", r#"["spa","api"]"#)],
        ] {
            assert!(refresh(&login, changes).is_ok(), "{changes:?}");
        }
        assert!(refresh(&[], &[("auth_time", "1")]).is_ok());
    }

    #[test]
    fn refreshed_token_must_match_the_login() {
        let login = [("auth_time", "1799999000"), ("azp", r#""spa""#)];
        let azp = ("azp", r#""spa""#);
        for (changes, reason) in [
            (&[azp, ("iat", "")][..], "iat is missing"),
            (&[azp, ("iat", "1.8e9")], "iat is not a valid NumericDate"),
            (
                &[azp, ("iat", "1799999969")],
                "iat is earlier than that of the login",
            ),
            (
                &[azp, ("auth_time", "1799999001")],
                "auth_time differs from that of the login",
            ),
            (
                &[azp, ("auth_time", "null")],
                "auth_time is not a valid NumericDate",
            ),
            (
                &[azp, ("nonce", r#""n-2""#)],
                "nonce differs from that of the login",
            ),
            (&[azp, ("nonce", "[]")], "nonce is not a string"),
            (&[("azp", "")], "azp differs from that of the login"),
            (&[("azp", r#""api""#)], "azp is not 'spa'"),
            (&[azp, ("aud", r#""api""#)], "aud does not contain 'spa'"),
            (&[azp, ("exp", "1799999970")], "exp is in the past by 30 s"),
            (
                &[azp, ("at_hash", r#""x""#)],
                "at_hash does not match the access token",
            ),
            (&[azp, ("sub", "")], "sub is missing"),
            (&[azp, ("sub", "1")], "sub is not a string"),
            (&[azp, ("iss", "")], "iss is missing"),
        ] {
            assert_invalid(refresh(&login, changes), reason);
        }
        assert_invalid(refresh(&[], &[azp]), "azp differs from that of the login");
    }

    #[test]
    fn refresh_with_another_user_or_issuer_is_distinct() {
        for (claim, value, code) in [
            ("sub", r#""eve""#, Code::IdTokenInvalid),
            ("sub", r#""JOE""#, Code::IdTokenInvalid),
            ("iss", r#""https://evil.test""#, Code::IssuerMismatch),
            ("iss", r#""https://id.example.com/""#, Code::IssuerMismatch),
        ] {
            // The session ends even if the token has other errors.
            for more in [("exp", "1800000300"), ("exp", "0"), ("aud", r#""api""#)] {
                match refresh(&[], &[(claim, value), more]) {
                    Err(Rejected::OtherUser(error)) => {
                        assert_eq!(error.code(), code);
                        assert!(!error.message().contains("joe"));
                        assert!(!error.message().contains("eve"));
                    }
                    other => panic!("{claim} {value}: {other:?}"),
                }
            }
        }
    }

    /// Refreshes a session whose login had the claim `org` with the value `first`, or without it if `first` is empty.
    fn refresh_of_org(first: &str, changes: &[(&str, &str)]) -> Checked {
        let original = &login(&[("org", first)]).unwrap();
        check_org(original, changes, true)
    }

    fn check_org(original: &Identity, changes: &[(&str, &str)], is_signed: bool) -> Checked {
        let access_token = Secret::from(ACCESS_TOKEN);
        let expected = Expected {
            same_claims: &["tenant".to_owned(), "org".to_owned()],
            ..expected(&access_token, Occasion::Refresh { original })
        };
        unverified(changes).signature_checked(is_signed, &expected)
    }

    #[track_caller]
    fn assert_changed(checked: Checked, what: &str) {
        match checked {
            Err(Rejected::OtherClaims(error)) => {
                assert_eq!(error.code(), Code::IdTokenInvalid, "{error}");
                let message = "the ID token's org differs from that of the login";
                assert_eq!(error.message(), message, "{what}");
            }
            other => panic!("{other:?}: {what}"),
        }
    }

    // claim: end-30
    #[test]
    fn claim_that_must_stay_the_same_is_compared() {
        for (first, now) in [
            (r#""acme""#, r#""globex""#),
            (r#""acme""#, r#""Acme""#),
            (r#""acme""#, r#""""#),
            (r#""7""#, "7"),
            ("7", "8"),
            ("7", "7.0"),
            ("true", "false"),
            ("true", r#""true""#),
            (r#"["a"]"#, r#"["b"]"#),
            (r#"["a"]"#, r#"["a","b"]"#),
            (r#"["a","b"]"#, r#"["a"]"#),
            (r#"["a",1]"#, r#"["a","1"]"#),
            (r#"["a"]"#, "[]"),
            (r#""a""#, r#"["a","b"]"#),
            (r#"{"a":{"id":1}}"#, r#"{"b":{"id":1}}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            (r#"{"a":1}"#, r#""a""#),
            (r#""acme""#, "null"),
            ("null", r#""acme""#),
        ] {
            let checked = refresh_of_org(first, &[("org", now)]);
            assert_changed(checked, &format!("{first} {now}"));
        }
        for (first, now) in [
            (r#""acme""#, r#""acme""#),
            (r#""acme""#, r#""\u0061cme""#),
            ("7", "7"),
            ("false", "false"),
            ("null", "null"),
            (r#"["a","b",1,true]"#, r#"[true,1,"b","a"]"#),
            (r#"["a","b"]"#, r#"["b","a","a"]"#),
            (r#""a""#, r#"["a"]"#),
            ("[]", "[]"),
            (r#"{"a":{"id":[1]}}"#, r#"{ "a": { "id": [1] } }"#),
            // A claim that one of the two ID tokens lacks is not compared.
            ("", r#""globex""#),
            (r#""acme""#, ""),
            ("", ""),
        ] {
            let checked = refresh_of_org(first, &[("org", now)]);
            assert!(checked.is_ok(), "{first} {now} {checked:?}");
        }
    }

    #[test]
    fn very_large_sets_are_compared_in_their_order() {
        let numbers = |range: core::ops::Range<usize>| range.map(|n| n.to_string());
        let array = |all: Vec<String>| format!("[{}]", all.join(","));
        for (size, may_be_reversed) in [(MAX_MEMBERS, true), (MAX_MEMBERS + 1, false)] {
            let first = array(numbers(0..size).collect());
            let reversed = array(numbers(0..size).rev().collect());
            assert!(refresh_of_org(&first, &[("org", &first)]).is_ok());
            let checked = refresh_of_org(&first, &[("org", &reversed)]);
            assert_eq!(checked.is_ok(), may_be_reversed, "{size}");
        }
    }

    // claim: end-30
    #[test]
    fn another_flaw_does_not_hide_a_changed_claim() {
        for more in [
            ("exp", "1799999000"),
            ("exp", ""),
            ("iat", r#""then""#),
            ("aud", r#""api""#),
            ("azp", r#""api""#),
            ("nonce", r#""n-2""#),
            ("at_hash", r#""x""#),
            ("auth_time", "null"),
            ("sub", ""),
            ("iss", ""),
        ] {
            let checked = refresh_of_org(r#""acme""#, &[("org", r#""globex""#), more]);
            assert_changed(checked, &format!("{more:?}"));
        }
        // Another user is worse than another organization.
        for more in [("sub", r#""eve""#), ("iss", r#""https://evil.test""#)] {
            let checked = refresh_of_org(r#""acme""#, &[("org", r#""globex""#), more]);
            assert!(matches!(checked, Err(Rejected::OtherUser(_))), "{more:?}");
        }
    }

    // claim: end-30
    #[test]
    fn unsigned_change_of_a_claim_is_invalid_only() {
        let original = login(&[("org", r#""acme""#)]).unwrap();
        assert_invalid(
            check_org(&original, &[("org", r#""globex""#)], false),
            "signature does not verify with the issuer's key",
        );
    }

    #[test]
    fn claims_of_user_info_are_not_compared() {
        let response = Value::parse(r#"{"org":"acme"}"#).unwrap();
        let original = login(&[]).unwrap();
        let original = original.with_user_info(response.as_object().unwrap(), &["org".to_owned()]);
        assert_eq!(original.claims().str("org"), Some("acme"));
        assert!(check_org(&original, &[("org", r#""globex""#)], true).is_ok());
        let names = ["sub".to_owned(), "org".to_owned()];
        let warning = missing_claim_warning(&original, &names).unwrap();
        assert_eq!(warning.code(), Code::ClaimMissing);
        assert!(warning.message().ends_with(": org"), "{warning}");
        assert!(missing_claim_warning(&original, &names[..1]).is_none());
    }

    #[test]
    fn messages_quote_untrusted_strings_in_short_ascii() {
        let iss = format!(r#""\u001b[2J{}""#, "é".repeat(5000));
        let error = Error::from(login(&[("iss", &iss)]).unwrap_err());
        assert!(error.message().is_ascii());
        assert!(error.message().len() < 150);
        let header = format!(r#"{{"alg":"ES256","typ":"{}"}}"#, "é\u{202e}".repeat(5000));
        let error = Unverified::parse(&token(&header, "{}"), &Algorithm::ALL).unwrap_err();
        assert!(error.message().is_ascii());
        assert!(error.message().len() < 150);
    }
}
