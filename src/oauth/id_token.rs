//! An ID token counts only after its signature and every claim were checked (OpenID Connect Core
//! 1.0 sections 3.1.3.7, 3.1.3.8 and 12.2, RFC 8725).
//!
//! The two steps are two types. [`Unverified`] has passed the checks of its header and gives the
//! host what it needs to verify the signature; it shows no claims. Only
//! [`Unverified::signature_checked`] makes an [`IdToken`] of it, after all claims were found right,
//! so an unverified token cannot be taken for a verified one.

use crate::base::error::quote;
use crate::codec::base64url;
use crate::codec::json::{Object, Value};
use crate::oauth::jwks::Algorithm;
use crate::oauth::jwt::{Jwt, seconds};
#[cfg(not(feature = "extended"))]
use crate::oauth::pkce;
use crate::prelude::*;
use crate::{Code, Error, Result, Secret};
use core::cell::OnceCell;
use core::fmt;

/// The longest `sub`, in characters of ASCII (OpenID Connect Core 1.0 section 2).
const MAX_SUB_LEN: usize = 255;

/// Says why an algorithm is not accepted. The smaller module does not know all of them.
const NOT_ALLOWED: &str = if cfg!(feature = "extended") {
    msg!(", which neither the provider's metadata nor idTokenSignedResponseAlg allows")
} else {
    msg!(
        ", which is not one of RS256, PS256 and ES256 that the provider announces; if it is RS384, RS512, PS384, PS512, ES384, ES512 or EdDSA, name it in idTokenSignedResponseAlg in the worker's file"
    )
};

/// What an ID token must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The configured issuer identifier.
    pub issuer: &'a str,
    /// This client's `client_id`.
    pub client_id: &'a str,
    /// Audiences that the token may have besides this client without an `azp`.
    #[cfg(feature = "extended")]
    pub trusted_audiences: &'a [String],
    /// The time, in seconds since the epoch.
    pub now_seconds: u64,
    /// By how many seconds the issuer's clock may differ.
    pub tolerance_seconds: u64,
    /// The access token that came with the ID token, which `at_hash` is compared with.
    pub access_token: &'a Secret,
    /// What the ID token was issued for.
    pub occasion: Occasion<'a>,
}

#[cfg(feature = "extended")]
impl Expected<'_> {
    fn trusts(&self, audience: &str) -> bool {
        self.trusted_audiences.iter().any(|one| one == audience)
    }
}

/// What an ID token was issued for.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// An authorization code was redeemed (OpenID Connect Core 1.0 section 3.1.3.7).
    CodeExchange {
        /// The `nonce` of the authorization request.
        nonce: &'a Secret,
        /// The `max_age` of the authorization request, in seconds, if it asked for one.
        max_age_seconds: Option<u64>,
    },
    /// A device code was redeemed (RFC 8628 3.5): there was no authorization request, and no `nonce`.
    #[cfg(feature = "extended")]
    DeviceGrant,
    /// A refresh token was redeemed (OpenID Connect Core 1.0 section 12.2).
    Refresh {
        /// The ID token of the login, however many refreshes ago that was.
        original: &'a IdToken,
    },
}

/// Why an ID token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is wrong in itself: [`Code::IdTokenInvalid`] or [`Code::IssuerMismatch`].
    Invalid(Error),
    /// A rightly signed ID token came with a refresh and is of another user (`sub`) or another
    /// issuer (`iss`) than the session. That must end the session.
    OtherUser(Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid(error) | Rejected::OtherUser(error) => error,
        }
    }
}

/// An ID token whose header is acceptable and whose signature nobody has checked yet.
#[derive(Debug)]
pub struct Unverified {
    jwt: Box<Jwt>,
    algorithm: Algorithm,
}

impl Unverified {
    /// Takes `token` apart and checks its header. `allowed` are the algorithms that the
    /// configuration and the issuer's metadata leave. Keys and addresses of keys in the header
    /// (`jwk`, `jku`, `x5c`, `x5u`) are ignored.
    ///
    /// # Errors
    /// [`Code::IdTokenInvalid`] if it is [malformed](crate::oauth::jwt::Malformed), its `alg` is not
    /// among `allowed`, or its `typ` says that it is something else than a plain JWT.
    pub fn parse(token: &str, allowed: &[Algorithm]) -> Result<Self> {
        let jwt = Jwt::parse(token)
            .map_err(|reason| invalid(&[msg!("the ID token "), reason.as_str()]))?;
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
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(invalid(&[
                msg!("the ID token's typ is "),
                &quote(typ),
                msg!(", not 'JWT'"),
            ])),
            _ => Ok(Self { jwt, algorithm }),
        }
    }

    /// The algorithm to verify the signature with, and to [select](crate::oauth::jwks::Jwks::select) the
    /// key by.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` to select the key by.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jwt.kid()
    }

    /// What the signature is over.
    #[must_use]
    pub fn signing_input(&self) -> &str {
        self.jwt.signing_input()
    }

    /// The signature, decoded.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.jwt.signature()
    }

    /// Goes on with the host's verdict on the signature: checks every claim.
    ///
    /// # Errors
    /// Whether the token is [invalid](Rejected::Invalid), because the signature is not `valid` or a
    /// claim is wrong, or is [of another user](Rejected::OtherUser) than the session.
    pub fn signature_checked(
        self,
        valid: bool,
        expected: &Expected<'_>,
    ) -> core::result::Result<IdToken, Rejected> {
        if !valid {
            return Err(
                invalid(&[msg!("the ID token's signature is not by the issuer's key")]).into(),
            );
        }
        let check = ClaimsCheck {
            claims: self.jwt.claims(),
            expected,
            fault: OnceCell::new(),
        };
        check.issuer();
        check.subject();
        check.audience();
        check.times();
        check.access_token_hash(self.algorithm);
        match expected.occasion {
            Occasion::CodeExchange {
                nonce,
                max_age_seconds,
            } => check.code_exchange(nonce, max_age_seconds),
            #[cfg(feature = "extended")]
            Occasion::DeviceGrant => {}
            Occasion::Refresh { original } => check.refresh(original),
        }
        match check.fault.into_inner() {
            None => Ok(IdToken(self.jwt)),
            Some(rejected) => Err(rejected),
        }
    }
}

/// An ID token that was verified: its signature, and every claim that has a rule.
pub struct IdToken(Box<Jwt>);

impl IdToken {
    /// A token that was verified before it was sealed. Nothing else opens as one.
    pub(crate) fn restored(token: &str) -> Option<Self> {
        Jwt::parse(token).ok().map(Self)
    }

    /// All claims. Those without a rule in OpenID Connect Core are as the issuer sent them.
    #[must_use]
    pub fn claims(&self) -> &Object {
        self.0.claims()
    }

    /// `sub`: the user, unique and never reassigned within the [issuer](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims().str("sub").unwrap_or_default()
    }

    /// `iss`: the configured issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims().str("iss").unwrap_or_default()
    }

    /// `auth_time`: when the user authenticated, in seconds since the epoch, if the issuer says.
    #[must_use]
    pub fn auth_time(&self) -> Option<u64> {
        seconds(self.claims(), "auth_time")
    }

    /// The token itself, for `id_token_hint` and for nothing else.
    #[must_use]
    pub fn token(&self) -> &Secret {
        self.0.token()
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(…)")
    }
}

/// The rules on claims, each a function named for what it looks at. The first fault decides; it is
/// looked at once, after every rule had its say.
struct ClaimsCheck<'a> {
    claims: &'a Object,
    expected: &'a Expected<'a>,
    fault: OnceCell<Rejected>,
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
            #[cfg(feature = "extended")]
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
            let error = wrong("sub", msg!("is not that of the session"));
            self.reject(Rejected::OtherUser(error));
        }
    }

    /// OpenID Connect Core 1.0 section 3.1.3.7, points 3 to 5. An audience besides this client is trusted if the
    /// configuration names it, or if the issuer says through `azp` that the token was made for this client.
    fn audience(&self) {
        let client_id = self.expected.client_id;
        let audiences = match self.claims.get("aud") {
            Some(Value::Array(all)) => all.as_slice(),
            Some(one) => core::slice::from_ref(one),
            None => &[],
        };
        let mut is_meant = false;
        let mut has_others = false;
        for audience in audiences {
            match audience.as_str() {
                Some(audience) if audience == client_id => is_meant = true,
                #[cfg(feature = "extended")]
                Some(audience) if self.expected.trusts(audience) => {}
                Some(_) => has_others = true,
                None => self.wrong("aud", msg!("is no string or array of strings")),
            }
        }
        let wrong_because = |claim, what| {
            let what = [what, " ", &quote(client_id)].concat();
            self.wrong(claim, &what);
        };
        if !is_meant {
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
        if now >= self.required_time("exp").saturating_add(tolerance) {
            self.wrong("exp", msg!("is past"));
        }
        let latest = now.saturating_add(tolerance);
        self.required_time("iat");
        for name in ["iat", "nbf", "auth_time"] {
            if self.time(name).is_some_and(|time| time > latest) {
                self.wrong(name, msg!("is in the future"));
            }
        }
    }

    /// OpenID Connect Core 1.0 section 3.1.3.8. The algorithms of the smaller module all go with SHA-256.
    fn access_token_hash(&self, algorithm: Algorithm) {
        let Some(at_hash) = self.text("at_hash") else {
            return;
        };
        let access_token = self.expected.access_token.expose().as_bytes();
        #[cfg(feature = "extended")]
        let hash = algorithm.hash(access_token);
        #[cfg(not(feature = "extended"))]
        let (hash, _) = (pkce::sha256(access_token), algorithm);
        if at_hash != base64url::encode(&hash[..hash.len() / 2]) {
            self.wrong("at_hash", msg!("is not that of the access token"));
        }
    }

    fn code_exchange(&self, nonce: &Secret, max_age_seconds: Option<u64>) {
        if !nonce.matches(self.required_text("nonce")) {
            self.wrong("nonce", msg!("is not that of the login"));
        }
        let Some(max_age) = max_age_seconds else {
            return;
        };
        let oldest = self
            .required_time("auth_time")
            .saturating_add(max_age)
            .saturating_add(self.expected.tolerance_seconds);
        if self.expected.now_seconds > oldest {
            self.wrong("auth_time", msg!("is longer ago than max_age allows"));
        }
    }

    /// What section 12.2 asks of a refreshed ID token beyond `iss`, `sub` and `aud`.
    fn refresh(&self, original: &IdToken) {
        const OTHER: &str = msg!("is not the login's");
        // The machines behind one issuer do not agree on the second either.
        let issued = self
            .required_time("iat")
            .saturating_add(self.expected.tolerance_seconds);
        if seconds(original.claims(), "iat").is_some_and(|first| issued < first) {
            self.wrong("iat", msg!("is before the login's"));
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
            self.wrong(name, msg!("is not a sound number of seconds"));
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

    #[inline(never)]
    fn wrong(&self, claim: &str, what: &str) {
        self.reject(Rejected::Invalid(wrong(claim, what)));
    }

    /// Keeps a fault if it is the first.
    fn reject(&self, rejected: Rejected) {
        self.fault.get_or_init(|| rejected);
    }
}

fn invalid(message: &[&str]) -> Error {
    Error::of(Code::IdTokenInvalid, message)
}

/// An error that names a claim and what is wrong with it, and quotes nothing of the token.
fn wrong(claim: &str, what: &str) -> Error {
    invalid(&[msg!("the ID token's "), claim, " ", what])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";
    const NOW: u64 = 1_800_000_000;
    const TOLERANCE: u64 = 30;
    /// OpenID Connect Core 1.0 appendix A.3.
    const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";

    /// What a well-behaved issuer sends at a login; each test changes some of it.
    const LOGIN: [(&str, &str); 7] = [
        ("iss", r#""https://id.example.com""#),
        ("sub", r#""joe""#),
        ("aud", r#""spa""#),
        ("exp", "1800000300"),
        ("iat", "1800000000"),
        ("nonce", r#""n-1""#),
        ("at_hash", r#""77QmUPtjPfzWtF2AnpK9RQ""#),
    ];

    /// `LOGIN` with claims set, added, or, with an empty value, left out.
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

    type Checked = core::result::Result<IdToken, Rejected>;

    fn check(changes: &[(&str, &str)], occasion: Occasion<'_>, now_seconds: u64) -> Checked {
        let expected = Expected {
            issuer: ISSUER,
            client_id: "spa",
            trusted_audiences: &["https://trusted.test".to_owned()],
            now_seconds,
            tolerance_seconds: TOLERANCE,
            access_token: &Secret::from(ACCESS_TOKEN),
            occasion,
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
    fn a_login_gives_the_user() {
        let id_token = login(&[("auth_time", "1799999000"), ("name", r#""Joe""#)]).unwrap();
        assert_eq!(id_token.issuer(), ISSUER);
        assert_eq!(id_token.subject(), "joe");
        assert_eq!(id_token.auth_time(), Some(1_799_999_000));
        assert_eq!(id_token.claims().str("name"), Some("Joe"));
        assert_eq!(id_token.token().expose().split('.').count(), 3);
        assert_eq!(format!("{id_token:?}"), "IdToken(…)");
    }

    #[test]
    fn the_header_must_name_an_allowed_algorithm() {
        for alg in [
            "HS256", "HS384", "HS512", "RS384", "ES512", "es256", "ES256 ", "PS256", "dir", "",
        ] {
            let token = token(&format!(r#"{{"alg":"{alg}"}}"#), &claims(&[]));
            let allowed = [Algorithm::Es256, Algorithm::Rs256];
            let error = Unverified::parse(&token, &allowed).unwrap_err();
            assert_eq!(error.code(), Code::IdTokenInvalid);
            let start = format!("the ID token's alg is '{alg}', which neither the");
            assert!(error.message().starts_with(&start), "{error}");
            assert!(error.message().contains("idTokenSignedResponseAlg"));
        }
        let token = token(r#"{"alg":"none"}"#, &claims(&[]));
        let error = Unverified::parse(&token, &Algorithm::ALL).unwrap_err();
        assert_eq!(error.message(), "the ID token is not signed");
    }

    #[test]
    fn a_token_of_another_type_is_no_id_token() {
        let parse = |typ: &str| {
            let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
            Unverified::parse(&token(&header, &claims(&[])), &Algorithm::ALL)
        };
        for typ in ["JWT", "jwt", "Jwt"] {
            assert!(parse(typ).is_ok(), "{typ}");
        }
        for typ in [
            "at+jwt",
            "application/at+jwt",
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
    fn the_host_gets_what_it_needs_to_verify_and_nothing_that_the_header_brings_along() {
        let header =
            r#"{"alg":"EdDSA","kid":"../x","jku":"https://evil.test","jwk":{"kty":"oct"}}"#;
        let token = token(header, &claims(&[]));
        let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
        assert_eq!(unverified.algorithm(), Algorithm::EdDsa);
        assert_eq!(unverified.kid(), Some("../x"));
        assert_eq!(unverified.signature(), b"signature");
        assert!(token.starts_with(unverified.signing_input()));
        assert!(!format!("{unverified:?}").contains("joe"));
    }

    #[test]
    fn right_claims_do_not_help_a_wrong_signature() {
        let original = &login(&[]).unwrap();
        let nonce = &Secret::from("n-1");
        for occasion in [
            Occasion::CodeExchange {
                nonce,
                max_age_seconds: None,
            },
            Occasion::Refresh { original },
        ] {
            let expected = Expected {
                issuer: ISSUER,
                client_id: "spa",
                trusted_audiences: &[],
                now_seconds: NOW,
                tolerance_seconds: TOLERANCE,
                access_token: &Secret::from(ACCESS_TOKEN),
                occasion,
            };
            for changes in [&[][..], &[("sub", r#""eve""#)]] {
                assert_invalid(
                    unverified(changes).signature_checked(false, &expected),
                    "signature is not by the issuer's key",
                );
            }
        }
    }

    #[test]
    fn the_issuer_is_compared_to_the_letter() {
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

    #[test]
    fn each_claim_of_a_login_has_its_rule() {
        let long = format!("\"{}\"", "a".repeat(256));
        let unsound = "is not a sound number of seconds";
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
            ("aud", "{}", "is no string or array of strings"),
            ("aud", "[1]", "is no string or array of strings"),
            ("aud", "null", "is no string or array of strings"),
            ("aud", r#"["spa",1]"#, "is no string or array of strings"),
            ("aud", r#"[["spa"]]"#, "is no string or array of strings"),
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
            ("exp", r#""1800000300""#, unsound),
            ("exp", "null", unsound),
            ("exp", "true", unsound),
            ("exp", "-1", unsound),
            ("exp", "-1800000300.5", unsound),
            ("exp", "18e8", unsound),
            ("exp", "1799999970.9", "is past"),
            ("exp", "1e400", unsound),
            ("exp", "1e20", unsound),
            ("exp", "1800000300000", unsound),
            ("exp", "0", "is past"),
            ("iat", "", "is missing"),
            ("iat", r#""1800000000""#, unsound),
            ("iat", "1.8e9", unsound),
            ("iat", "1800000031", "is in the future"),
            ("iat", "1800000030.1", "is in the future"),
            ("nbf", "1800000030.1", "is in the future"),
            ("nbf", "1800000031", "is in the future"),
            ("nbf", "null", unsound),
            ("auth_time", "1800000031", "is in the future"),
            ("auth_time", r#""then""#, unsound),
            ("nonce", "", "is missing"),
            ("nonce", r#"["n-1"]"#, "is not a string"),
            ("nonce", r#""n-2""#, "is not that of the login"),
            ("nonce", r#""""#, "is not that of the login"),
            ("nonce", r#""n-1 ""#, "is not that of the login"),
            ("at_hash", "1", "is not a string"),
            ("at_hash", r#""""#, "is not that of the access token"),
            (
                "at_hash",
                r#""77QmUPtjPfzWtF2AnpK9RR""#,
                "is not that of the access token",
            ),
            (
                "at_hash",
                r#""77QmUPtjPfzWtF2AnpK9RQ==""#,
                "is not that of the access token",
            ),
        ] {
            assert_invalid(login(&[(claim, value)]), &format!("{claim} {reason}"));
        }
    }

    #[test]
    fn claims_that_are_right_in_another_way_are_right() {
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
    fn an_id_token_ends_with_its_exp_and_the_tolerance() {
        assert!(login_at(&[], None, NOW + 329).is_ok());
        assert_invalid(login_at(&[], None, NOW + 330), "exp is past");
        assert_invalid(login_at(&[], None, u64::MAX), "exp is past");
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
            "auth_time is not the login's",
        );
    }

    #[test]
    fn a_max_age_that_was_asked_for_needs_a_recent_auth_time() {
        assert_invalid(login_at(&[], Some(60), NOW), "auth_time is missing");
        let at = |auth_time: u64| {
            let auth_time = auth_time.to_string();
            login_at(&[("auth_time", &auth_time)], Some(60), NOW)
        };
        assert!(at(NOW).is_ok());
        assert!(at(NOW - 90).is_ok());
        assert_invalid(at(NOW - 91), "auth_time is longer ago than max_age allows");
        assert!(login_at(&[("auth_time", "0")], Some(u64::MAX), NOW).is_ok());
        assert!(login_at(&[("auth_time", "0")], None, NOW).is_ok());
    }

    fn login_with_hash(alg: Algorithm, at_hash: &str) -> Checked {
        let at_hash = format!("\"{at_hash}\"");
        let header = format!(r#"{{"alg":"{}"}}"#, alg.name());
        let token = token(&header, &claims(&[("at_hash", &at_hash)]));
        let expected = Expected {
            issuer: ISSUER,
            client_id: "spa",
            trusted_audiences: &[],
            now_seconds: NOW,
            tolerance_seconds: TOLERANCE,
            access_token: &Secret::from(ACCESS_TOKEN),
            occasion: Occasion::CodeExchange {
                nonce: &Secret::from("n-1"),
                max_age_seconds: None,
            },
        };
        let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
        unverified.signature_checked(true, &expected)
    }

    /// Computed with another library: `ring`.
    #[cfg(feature = "extended")]
    #[test]
    fn at_hash_is_half_of_the_hash_that_goes_with_the_algorithm() {
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
                    assert_invalid(checked, "at_hash is not that of the access token");
                }
            }
        }
    }

    #[test]
    fn a_refresh_needs_no_nonce_and_keeps_what_was_said_at_the_login() {
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
    fn a_refresh_that_says_something_else_than_the_login_is_invalid() {
        let login = [("auth_time", "1799999000"), ("azp", r#""spa""#)];
        let azp = ("azp", r#""spa""#);
        for (changes, reason) in [
            (&[azp, ("iat", "")][..], "iat is missing"),
            (
                &[azp, ("iat", "1.8e9")],
                "iat is not a sound number of seconds",
            ),
            (&[azp, ("iat", "1799999969")], "iat is before the login's"),
            (
                &[azp, ("auth_time", "1799999001")],
                "auth_time is not the login's",
            ),
            (
                &[azp, ("auth_time", "null")],
                "auth_time is not a sound number of seconds",
            ),
            (&[azp, ("nonce", r#""n-2""#)], "nonce is not the login's"),
            (&[azp, ("nonce", "[]")], "nonce is not a string"),
            (&[("azp", "")], "azp is not the login's"),
            (&[("azp", r#""api""#)], "azp is not 'spa'"),
            (&[azp, ("aud", r#""api""#)], "aud does not contain 'spa'"),
            (&[azp, ("exp", "1799999970")], "exp is past"),
            (
                &[azp, ("at_hash", r#""x""#)],
                "at_hash is not that of the access token",
            ),
            (&[azp, ("sub", "")], "sub is missing"),
            (&[azp, ("sub", "1")], "sub is not a string"),
            (&[azp, ("iss", "")], "iss is missing"),
        ] {
            assert_invalid(refresh(&login, changes), reason);
        }
        assert_invalid(refresh(&[], &[azp]), "azp is not the login's");
    }

    #[test]
    fn another_user_or_issuer_on_refresh_is_told_apart() {
        for (claim, value, code) in [
            ("sub", r#""eve""#, Code::IdTokenInvalid),
            ("sub", r#""JOE""#, Code::IdTokenInvalid),
            ("iss", r#""https://evil.test""#, Code::IssuerMismatch),
            ("iss", r#""https://id.example.com/""#, Code::IssuerMismatch),
        ] {
            // Whatever else is wrong with the token, this is what ends the session.
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

    #[test]
    fn messages_quote_hostile_text_briefly_and_in_ascii() {
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
