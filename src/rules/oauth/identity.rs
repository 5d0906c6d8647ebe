//! The user of a session, as the authorization server has identified them.

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::strings;
use crate::codec::json::{Object, Value, Writer};
use crate::codec::url::Url;
use crate::oauth::jwt::{Jwt, seconds};
use crate::prelude::*;
use core::fmt;

/// The claim with the time at which the provider's session ends at the latest.
pub(super) const SESSION_EXPIRY: &str = "session_expiry";
/// A hundred years, in seconds.
const LONGEST: u64 = 100 * 366 * 24 * 3600;

/// The members of a response that say who the user is, without OpenID Connect: the option `identity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The name of the member that identifies the user. An empty name means that no member does.
    pub sub: String,
    /// The profile address, if a response of this address and not the token response has the members.
    pub profile: Option<Url>,
    /// True if a requested scope contains a comma, so that commas do not separate scopes.
    pub scope_has_commas: bool,
}

impl Members {
    /// Returns the claims that a response contains, as JSON: the member that identifies the user, as `sub`, and the
    /// members with these `names`, except objects, arrays and unreadable values. A number that identifies the user becomes its digits.
    #[must_use]
    pub fn of(&self, response: &Object, names: &[String]) -> Secret {
        let mut claims = Writer::object();
        match response.get(&self.sub) {
            Some(Value::String(sub)) => {
                claims.text("sub", sub);
            }
            // Another writing of the same number, such as `1e2`, would be another user.
            Some(Value::Number(sub)) if sub.bytes().all(|byte| byte.is_ascii_digit()) => {
                claims.text("sub", sub);
            }
            _ => {}
        }
        for name in names {
            // An object may contain other tokens, which the search does not know.
            if let Some(value) = response.get(name).filter(|value| is_simple(value)) {
                claims.value(name, value);
            }
        }
        Secret::new(claims.finish())
    }

    /// Returns what identifies users, in one string. Sessions of another configuration are not continued, because their
    /// claims have another meaning.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.profile {
            Some(profile) => [&self.sub, " ", profile.href()].concat(),
            None => self.sub.clone(),
        }
    }
}

const fn is_simple(value: &Value) -> bool {
    !matches!(
        value,
        Value::Object(_) | Value::Array(_) | Value::Unreadable
    )
}

/// The user, as a server identifies them.
#[derive(Clone)]
pub struct Identity(Kind);

#[derive(Clone)]
enum Kind {
    /// A verified ID token: its signature and all claims with rules have been checked.
    IdToken(Box<Jwt>),
    /// A verified ID token, with claims of a UserInfo response.
    WithUserInfo(Box<WithUserInfo>),
    /// The claims that [`Members::of`] has found in a response, as JSON and parsed.
    Members(Secret, Object),
}

/// A verified ID token, with claims of a UserInfo response.
#[derive(Clone)]
struct WithUserInfo {
    id_token: Jwt,
    /// The encoded ID token, a space, and the claims of the response as JSON.
    text: Secret,
    /// The claims of the ID token, and those of the response that the ID token lacks.
    claims: Object,
}

/// Claims that only an ID token may state.
const OF_ID_TOKEN: &str = "_claim_names _claim_sources acr amr at_hash aud auth_time azp c_hash cnf exp iat iss jti nbf \
    nonce s_hash session_expiry sid sub";

/// The end of the name of a claim that says if another claim is verified: `email_verified` (OIDC Core 5.1).
const VERIFIED: &str = "_verified";

/// Returns true if both documents state this claim, with different values. What one of them says about its value is then not
/// about the other's.
fn state_different_values(one: &Object, other: &Object, claim: &str) -> bool {
    let (one, other) = (one.get(claim), other.get(claim));
    one.is_some() && other.is_some() && one != other
}

/// Returns true for the value of a claim such as `email_verified` that says yes. Some providers send a string.
fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true) || value.as_str() == Some("true")
}

/// Returns a claim of the latest ID token. Providers may omit claims at a refresh, so the claim of the login's ID token counts
/// if the latest one lacks it. A claim such as `email_verified` is taken from the ID token that states the `email`.
pub(crate) fn newest_claim<'a>(
    latest: &'a Object,
    original: &'a Object,
    name: &str,
) -> Option<&'a Value> {
    let (mut first, mut second) = (latest, Some(original));
    if let Some(about) = name.strip_suffix(VERIFIED) {
        if state_different_values(latest, original, about) {
            second = None;
        } else if latest.get(about).is_none() && original.get(about).is_some() {
            (first, second) = (original, Some(latest));
        }
    }
    first.get(name).or_else(|| second?.get(name))
}

/// Returns true if the provider says that a claim is not verified: users can often choose its value themselves, such as
/// another user's `email`.
#[must_use]
pub fn is_unverified(claims: &Object, name: &str) -> bool {
    let said = claims.get(&[name, VERIFIED].concat());
    said.is_some_and(|said| !is_true(said))
}

impl Identity {
    /// Creates the identity from an ID token whose signature and claims have been checked.
    pub(super) const fn of_id_token(jwt: Box<Jwt>) -> Self {
        Self(Kind::IdToken(jwt))
    }

    /// Reads the output of [`Members::of`].
    pub(crate) fn of_claims(json: &Secret) -> Option<Self> {
        let claims = Value::parse(json.expose()).ok()?.into_object()?;
        Some(Self(Kind::Members(json.clone(), claims)))
    }

    /// Adds the claims with these `names` of a UserInfo response, except those that the ID token states, or that only an
    /// ID token may state. The response's `sub` was compared with the ID token's (OIDC Core 5.3.2).
    #[must_use]
    pub(crate) fn with_user_info(self, response: &Object, names: &[String]) -> Self {
        let Kind::IdToken(id_token) = self.0 else {
            return self;
        };
        let mut more = Object::new();
        for name in names {
            let Some(value) = response.get(name) else {
                continue;
            };
            let stated = id_token.claims().get(name);
            let may_add = match name.strip_suffix(VERIFIED) {
                Some(about) => !state_different_values(response, id_token.claims(), about),
                None => stated.is_none(),
            };
            if may_add && stated != Some(value) && !strings::contains_word(OF_ID_TOKEN, name) {
                more.push(name, value.clone());
            }
        }
        Self::with_claims(*id_token, &more)
    }

    /// Adds claims of a UserInfo response. The ID token's claim counts, except that a claim is verified only if neither
    /// document says otherwise.
    fn with_claims(id_token: Jwt, more: &Object) -> Self {
        let mut text = [id_token.token().expose(), " "].concat();
        more.write(&mut text);
        let mut claims = Object::new();
        for (name, value) in more.iter() {
            let is_doubt = name.ends_with(VERIFIED) && !is_true(value);
            if is_doubt || id_token.claims().get(name).is_none() {
                claims.push(name, value.clone());
            }
        }
        for (name, value) in id_token.claims().iter() {
            if claims.get(name).is_none() {
                claims.push(name, value.clone());
            }
        }
        Self(Kind::WithUserInfo(Box::new(WithUserInfo {
            id_token,
            text: Secret::new(text),
            claims,
        })))
    }

    /// Returns the claims of a UserInfo response, as JSON; an empty string if there are none.
    #[must_use]
    pub(crate) fn user_info(&self) -> String {
        match &self.0 {
            Kind::WithUserInfo(with) => {
                let (_, more) = strings::split_once(with.text.expose(), b' ');
                more.unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }

    /// Returns the user of a stored session as pages may see them: without the claims of a UserInfo response unless the option
    /// `userInfo` is still set.
    #[must_use]
    pub fn visible(self, asks_user_info: bool) -> Self {
        match self.0 {
            Kind::WithUserInfo(with) if !asks_user_info => {
                Self::of_id_token(Box::new(with.id_token))
            }
            kind => Self(kind),
        }
    }

    /// Reads the identity of a stored session. An ID token was verified before the session was encrypted and stored, so
    /// it is not verified again.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.starts_with('{') {
            return Self::of_claims(&text.into());
        }
        let (id_token, more) = strings::split_once(text, b' ');
        let id_token = Jwt::parse(id_token).ok()?;
        Some(match more {
            Some(more) => Self::with_claims(*id_token, &Value::parse(more).ok()?.into_object()?),
            None => Self::of_id_token(id_token),
        })
    }

    /// Returns the form in which a session stores the identity: the encoded ID token, which UserInfo claims in JSON may
    /// follow after a space, or only claims as JSON, which begins with a brace.
    #[must_use]
    pub fn text(&self) -> &Secret {
        match &self.0 {
            Kind::IdToken(jwt) => jwt.token(),
            Kind::WithUserInfo(with) => &with.text,
            Kind::Members(json, _) => json,
        }
    }

    /// Returns the encoded ID token, if there is one. It is an input for the inspector's fingerprints, and the
    /// `id_token_hint` when a token handler sends the user to the provider's logout.
    #[must_use]
    pub fn id_token(&self) -> Option<&Secret> {
        match &self.0 {
            Kind::IdToken(jwt) => Some(jwt.token()),
            Kind::WithUserInfo(with) => Some(with.id_token.token()),
            Kind::Members(..) => None,
        }
    }

    /// Returns all claims. Claims without a rule in OpenID Connect Core are not checked.
    #[must_use]
    pub fn claims(&self) -> &Object {
        match &self.0 {
            Kind::IdToken(jwt) => jwt.claims(),
            Kind::WithUserInfo(with) => &with.claims,
            Kind::Members(_, claims) => claims,
        }
    }

    /// Returns the claims that the ID token itself states.
    #[must_use]
    pub(super) fn stated_claims(&self) -> &Object {
        match &self.0 {
            Kind::WithUserInfo(with) => with.id_token.claims(),
            _ => self.claims(),
        }
    }

    /// Returns `sub`: the user, unique and never reassigned within the issuer. The string is empty if nothing
    /// identifies the user, which needs `identity: 'none'`.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims().str("sub").unwrap_or_default()
    }

    /// Returns true unless `subject` is this user. A user whom nothing identifies may be anyone.
    #[must_use]
    pub fn may_be_other_user(&self, subject: &str) -> bool {
        let known = self.subject();
        known != subject || known.is_empty()
    }

    /// Returns true if `subject` is certainly not this user.
    #[must_use]
    pub fn is_other_user(&self, subject: &str) -> bool {
        let known = self.subject();
        known != subject && !known.is_empty() && !subject.is_empty()
    }

    /// Returns `auth_time`: the time of authentication in seconds since the Unix epoch, if the token contains it.
    #[must_use]
    pub fn auth_time(&self) -> Option<u64> {
        seconds(self.claims(), "auth_time")
    }

    /// Returns the time from the token's issue to the end of the session, if the provider states this end
    /// (`session_expiry` of the IPSIE profiles). Returns [`Millis::MAX`] if the claim is absent or not valid.
    #[must_use]
    pub fn session_lifetime(&self) -> Millis {
        session_lifetime(self.claims())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// Returns the time from the issue of the token to `session_expiry`; [`Millis::MAX`] if the claim is not valid.
pub(super) fn session_lifetime(claims: &Object) -> Millis {
    let ends = claims.get(SESSION_EXPIRY).and_then(Value::as_u64);
    match (ends, seconds(claims, "iat")) {
        // No session lasts as long as the limit. A multiplication that could overflow would be more code.
        (Some(ends), Some(issued)) if ends > issued => Millis((ends - issued).min(LONGEST) * 1000),
        _ => Millis::MAX,
    }
}
