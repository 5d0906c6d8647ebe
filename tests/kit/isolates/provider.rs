//! An OpenID provider that rotates refresh tokens. If it receives a consumed refresh token again after the leeway, it
//! revokes the whole family.
//!
//! The signatures of its ID tokens are only hashes, which the simulated host verifies.

use std::collections::BTreeMap;

use kit::reply::{json, refusal};
use kit::world::provider::form_of;
use rules::base::http::{HttpReply, HttpRequest};
use rules::codec::base64url;
use rules::oauth::pkce;

pub const ISSUER: &str = "https://id.example.com";
pub const CLIENT_ID: &str = "web";
const REVOKE: &str = "https://id.example.com/revoke";
const DISCOVERY: &str = "https://id.example.com/.well-known/openid-configuration";
const KEYS: &str = "https://id.example.com/jwks";

/// A part of every secret, so that one search finds all secrets.
pub const SECRET: &str = "s3cr3t";

/// A part of every response that belongs to another user.
pub const OTHER_USER: &str = r#""for":"somebody else""#;

/// The provider's metadata.
pub const METADATA: &str = r#"{
    "issuer": "https://id.example.com",
    "authorization_endpoint": "https://id.example.com/authorize",
    "token_endpoint": "https://id.example.com/token",
    "jwks_uri": "https://id.example.com/jwks",
    "revocation_endpoint": "https://id.example.com/revoke",
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["S256"],
    "id_token_signing_alg_values_supported": ["ES256"],
    "authorization_response_iss_parameter_supported": true
}"#;

/// The P-256 public key of RFC 9449 4.1.
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"one",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;

/// Purposes of a request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Discovery,
    Keys,
    Code,
    Refresh,
    Revoke,
}

/// Outcome of a refresh at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A new refresh token.
    Fresh,
    /// The token was consumed within the leeway, so the provider returns its successor again.
    Forgiven,
    /// The token was consumed longer ago than the leeway, so the provider revokes the whole family.
    Reused,
    /// The family was already revoked.
    Refused,
}

/// All tokens that descend from one login.
pub struct Family {
    pub subject: String,
    pub login_at: u64,
    nonce: String,
    /// The time at which each refresh token was consumed, by the token's position in the family.
    consumed: Vec<Option<u64>>,
    pub is_revoked: bool,
}

pub struct Provider {
    /// Lifetime of access tokens in milliseconds.
    pub lifetime: u64,
    /// After the use of a refresh token, the number of milliseconds during which the provider accepts the token again.
    pub leeway: u64,
    /// The next refresh returns the ID token of another user.
    pub next_is_other_user: bool,
    pub families: Vec<Family>,
    /// The subject and the nonce of each code.
    codes: BTreeMap<String, (String, String)>,
    /// Expiry times of access tokens.
    access: BTreeMap<String, u64>,
    count: u64,
}

impl Provider {
    pub fn new() -> Self {
        Self {
            lifetime: 60_000,
            leeway: 0,
            next_is_other_user: false,
            families: Vec::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            count: 0,
        }
    }

    pub fn endpoint_of(request: &HttpRequest) -> Endpoint {
        match request.url.as_str() {
            DISCOVERY => Endpoint::Discovery,
            KEYS => Endpoint::Keys,
            REVOKE => Endpoint::Revoke,
            _ if field(request, "grant_type") == "refresh_token" => Endpoint::Refresh,
            _ => Endpoint::Code,
        }
    }

    /// Signs the user in. Returns the code for the redirect back.
    pub fn authorize(&mut self, subject: &str, nonce: &str) -> String {
        let code = self.secret("code");
        self.codes
            .insert(code.clone(), (subject.to_owned(), nonce.to_owned()));
        code
    }

    /// Returns the family of a refresh token, and the token's position in the family.
    pub fn place(refresh_token: &str) -> (usize, usize) {
        let mut parts = refresh_token.rsplit('-');
        let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap();
        let (place, family) = (number(), number());
        (family, place)
    }

    /// Revokes a family without notifying the handler.
    pub fn revoke(&mut self, family: usize) {
        self.families[family].is_revoked = true;
    }

    pub fn is_consumed(&self, refresh_token: &str) -> bool {
        let (family, place) = Self::place(refresh_token);
        self.families[family].consumed[place].is_some()
    }

    /// Handles a request. Returns the response and, for a refresh, the outcome.
    pub fn act(&mut self, now: u64, request: &HttpRequest) -> (HttpReply, Option<Rotation>) {
        match Self::endpoint_of(request) {
            Endpoint::Discovery => (json(200, METADATA), None),
            Endpoint::Keys => (json(200, KEY_SET), None),
            Endpoint::Code => (self.redeem(now, &field(request, "code")), None),
            Endpoint::Refresh => {
                let (reply, rotation) = self.refresh(now, &field(request, "refresh_token"));
                (reply, Some(rotation))
            }
            Endpoint::Revoke => {
                let (family, place) = Self::place(&field(request, "token"));
                let family = &mut self.families[family];
                // A consumed token is already invalid, so revoking it has no effect (RFC 7009 section 2.2).
                family.is_revoked |= family.consumed[place].is_none();
                (json(200, ""), None)
            }
        }
    }

    fn redeem(&mut self, now: u64, code: &str) -> HttpReply {
        let Some((subject, nonce)) = self.codes.remove(code) else {
            return refusal("invalid_grant");
        };
        self.families.push(Family {
            subject,
            login_at: now,
            nonce,
            consumed: vec![None],
            is_revoked: false,
        });
        self.tokens(now, self.families.len() - 1, true)
    }

    fn refresh(&mut self, now: u64, token: &str) -> (HttpReply, Rotation) {
        let (i, place) = Self::place(token);
        let family = &mut self.families[i];
        if family.is_revoked {
            return (refusal("invalid_grant"), Rotation::Refused);
        }
        let rotation = match family.consumed[place] {
            None => {
                family.consumed[place] = Some(now);
                family.consumed.push(None);
                Rotation::Fresh
            }
            Some(at) if now - at <= self.leeway && place + 2 == family.consumed.len() => {
                Rotation::Forgiven
            }
            Some(_) => {
                family.is_revoked = true;
                return (refusal("invalid_grant"), Rotation::Reused);
            }
        };
        (self.tokens(now, i, false), rotation)
    }

    fn tokens(&mut self, now: u64, i: usize, is_login: bool) -> HttpReply {
        let access_token = self.secret("at");
        // `exp` is in whole seconds, and `expires_in` tells nothing of the rest.
        let until = (now + self.lifetime) / 1000 * 1000;
        self.access.insert(access_token.clone(), until);
        let is_other = !is_login && std::mem::take(&mut self.next_is_other_user);
        let id_token = self.id_token(now, i, is_login, is_other);
        let family = &self.families[i];
        let last = family.consumed.len() - 1;
        let other = if is_other {
            format!(",{OTHER_USER}")
        } else {
            String::new()
        };
        let body = format!(
            r#"{{"access_token":"{access_token}","token_type":"Bearer","expires_in":{},"refresh_token":"{SECRET}-rt-{i}-{last}","id_token":"{id_token}","scope":"openid offline_access"{other}}}"#,
            self.lifetime / 1000
        );
        json(200, &body)
    }

    fn id_token(&self, now: u64, i: usize, is_login: bool, is_other: bool) -> String {
        let family = &self.families[i];
        let (subject, login_at) = (&family.subject, family.login_at / 1000);
        let subject = if is_other { "somebody else" } else { subject };
        let (iat, exp) = (now / 1000, now / 1000 + 3600);
        let nonce = if is_login {
            format!(r#","nonce":"{}""#, family.nonce)
        } else {
            String::new()
        };
        sign(&format!(
            r#"{{"iss":"{ISSUER}","sub":"{subject}","aud":"{CLIENT_ID}","iat":{iat},"exp":{exp},"auth_time":{login_at},"sid":"op-{i}"{nonce}}}"#
        ))
    }

    /// Returns the logout token that the provider sends when it ends a session by itself.
    pub fn logout_token(&mut self, now: u64, family: usize) -> String {
        self.count += 1;
        let (jti, iat, exp) = (self.count, now / 1000, now / 1000 + 120);
        sign(&format!(
            r#"{{"iss":"{ISSUER}","aud":"{CLIENT_ID}","iat":{iat},"exp":{exp},"jti":"j{jti}","sid":"op-{family}","events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}}}}"#
        ))
    }

    /// Returns true if an API accepts this access token.
    pub fn is_good(&self, now: u64, access_token: &str) -> bool {
        self.access_until(access_token).is_some_and(|end| end > now)
    }

    /// Returns the time at which an access token expires, or `None` if the provider did not issue the token.
    pub fn access_until(&self, access_token: &str) -> Option<u64> {
        self.access.get(access_token).copied()
    }

    fn secret(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{SECRET}-{kind}-{}", self.count)
    }
}

/// Returns a parameter of the request's form, or an empty string.
pub fn field(request: &HttpRequest, name: &str) -> String {
    form_of(request).remove(name).unwrap_or_default()
}

/// Returns true if this public key is the provider's.
pub fn is_key(jwk: &str) -> bool {
    let key = jwk.split("\"x\":\"").nth(1);
    let key = key.and_then(|rest| rest.split('"').next());
    key.is_some_and(|key| KEY_SET.contains(key))
}

fn sign(claims: &str) -> String {
    let header = base64url::encode(br#"{"alg":"ES256","kid":"one"}"#);
    let input = [header, base64url::encode(claims.as_bytes())].join(".");
    let signature = base64url::encode(&signature_of(&input));
    [input, signature].join(".")
}

/// Returns the bytes that this provider uses as the signature of `input`.
pub fn signature_of(input: &str) -> Vec<u8> {
    let hash = pkce::sha256(input.as_bytes());
    [hash, hash].concat()
}
