//! The provider of `kit`, with marks for the oracle: every secret contains [`SECRET`], and a refresh token names its family
//! and its position there.

use std::ops::Deref;
use std::time::Duration;

use kit::reply::json;
use kit::world::Flaw;
use kit::world::provider::{self, form_of};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::json::{Object, Value};

pub use kit::world::Endpoint;
pub use kit::world::provider::ISSUER;

/// A part of every secret, so that one search finds all secrets.
pub const SECRET: &str = "s3cr3t";

/// A part of every response that belongs to another user.
pub const OTHER_USER: &str = r#""for":"somebody else""#;

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

pub struct Provider {
    server: provider::Provider,
    /// Lifetime of access tokens in milliseconds.
    pub lifetime: u64,
    /// After the use of a refresh token, the number of milliseconds during which the provider accepts the token again.
    pub leeway: u64,
    /// The next refresh returns the ID token of another user.
    pub next_is_other_user: bool,
    logout_tokens: u64,
}

impl Provider {
    pub fn new() -> Self {
        let mut server = provider::Provider::new();
        "web".clone_into(&mut server.client_id);
        server.takes_any_redirect_uri = true;
        server.name = None;
        server.sid = Some(|_, family| format!("op-{family}"));
        server.scope = Some("openid offline_access");
        server.repeats_successors = true;
        SECRET.clone_into(&mut server.padding);
        SECRET.clone_into(&mut server.ending);
        Self {
            server,
            lifetime: 60_000,
            leeway: 0,
            next_is_other_user: false,
            logout_tokens: 0,
        }
    }

    /// Lets a consumed refresh token that arrives within the leeway get another successor, not the same one again.
    pub fn gives_other_successors(&mut self) {
        self.server.repeats_successors = false;
    }

    /// Signs the user in at the URL of an authorization request. Returns the URL of the redirect back.
    pub fn sign_in(&mut self, subject: String, url: &str) -> String {
        self.server.subject = subject;
        self.server.sign_in(url)
    }

    /// Returns the family of a refresh token, and the token's position in the family.
    pub fn place(refresh_token: &str) -> (usize, usize) {
        let place = refresh_token.strip_prefix("refresh-token-").unwrap();
        let mut numbers = place.split('-').map(|n| n.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// Revokes a family without notifying the handler.
    pub fn revoke(&mut self, family: usize) {
        self.server.revoke_family(family);
    }

    /// Handles a request. Returns the response and, for a refresh, what happened to the refresh token.
    pub fn act(&mut self, now: u64, request: &HttpRequest) -> (Outcome, Option<Rotation>) {
        // The metadata is only at the URL of OpenID Connect Discovery.
        if request.url.ends_with("/oauth-authorization-server") {
            return (Outcome::from(json(404, "")), None);
        }
        self.server.lifetime = Duration::from_millis(self.lifetime);
        self.server.leeway = Duration::from_millis(self.leeway + 1);
        if self.endpoint_of(request) != Endpoint::Refresh {
            return (self.server.respond(now, request, None).unwrap(), None);
        }
        let token = field(request, "refresh_token");
        let (family, _) = Self::place(&token);
        let (was_revoked, was_consumed) = (self.is_revoked(family), self.is_consumed(&token));
        if self.next_is_other_user {
            self.server.flaw = Some(Flaw::Claim("sub", "somebody else".into()));
            let mark = Value::parse(&["{", OTHER_USER, "}"].concat()).unwrap();
            self.server.more_members = mark.as_object().unwrap().clone();
        }
        let outcome = self.server.respond(now, request, None).unwrap();
        let rotation = match (was_revoked, was_consumed, self.is_revoked(family)) {
            (true, ..) => Rotation::Refused,
            (_, false, _) => Rotation::Fresh,
            (.., false) => Rotation::Forgiven,
            (.., true) => Rotation::Reused,
        };
        self.server.flaw = None;
        self.server.more_members = Object::new();
        self.next_is_other_user &= matches!(rotation, Rotation::Refused | Rotation::Reused);
        (outcome, Some(rotation))
    }

    /// Returns the logout token that the provider sends when it ends a session by itself.
    pub fn logout_token(&mut self, now: u64, family: usize) -> String {
        self.logout_tokens += 1;
        let (jti, iat, exp) = (self.logout_tokens, now / 1000, now / 1000 + 120);
        self.jwt(
            r#"{"alg":"ES256","kid":"key-0"}"#,
            &format!(
                r#"{{"iss":"{ISSUER}","aud":"web","iat":{iat},"exp":{exp},"jti":"j{jti}","sid":"op-{family}","events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}}}}"#
            ),
        )
    }

    /// Returns true if an API accepts this access token.
    pub fn is_good(&self, now: u64, access_token: &str) -> bool {
        self.access_until(access_token).is_some_and(|end| end > now)
    }

    /// Returns the time at which an access token expires, or `None` if the provider did not issue the token.
    pub fn access_until(&self, access_token: &str) -> Option<u64> {
        // `exp` has whole seconds, and `expires_in` does not tell the fraction.
        Some(self.server.access_until(access_token)? / 1000 * 1000)
    }

    /// Returns true if this public key is the provider's.
    pub fn is_key(&self, jwk: &str) -> bool {
        let key = jwk.split("\"x\":\"").nth(1);
        let key = key.and_then(|rest| rest.split('"').next());
        key.is_some_and(|key| self.key_set().contains(key))
    }
}

impl Deref for Provider {
    type Target = provider::Provider;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

/// Returns a parameter of the request's form, or an empty string.
pub fn field(request: &HttpRequest, name: &str) -> String {
    form_of(request).remove(name).unwrap_or_default()
}
