//! The options that say who the user is: `identity`, the claims that pages see, and the options for ID tokens.

use super::reader::{EMPTY, Options};
use crate::base::strings;
use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::oauth::identity::Members;
use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

const OPTION: &str = "identity";

/// The options in `identity`.
pub const OPTIONS: &[&str] = &["claims", "from", "sub", "url"];

const WHY: &str = msg!(
    "it must be 'none', or an object such as { from: 'token_response', sub: 'user_id' } or { url: 'https://api.example.com/me', sub: 'id' } that names members of a response"
);

/// The claims that a page may see by default.
const DEFAULT_CLAIMS: &str = "name email preferred_username picture locale";

/// Claims that bind the ID token to secrets of the login, and members of a token response that are secrets. Pages do
/// not need them.
const HIDDEN_CLAIMS: &[&str] = &[
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "access_token",
    "refresh_token",
    "id_token",
];

/// Claims that `sameClaims` must not name: they belong to one token, are times, or have rules of their own.
const OF_ONE_TOKEN: &str = "at_hash aud auth_time azp c_hash exp iat iss jti nbf nonce s_hash session_expiry sub updated_at";

/// Returns the members that say who the user is, if the user has no ID token, and the claims that pages may see besides
/// `sub`.
pub(crate) fn read(options: &Options<'_>) -> (Option<Members>, Vec<String>) {
    let Some(value) = options.object.get(OPTION) else {
        return (None, claims(options, DEFAULT_CLAIMS));
    };
    refuse_with_identity(options, "claims");
    let is_named = value.as_str() != Some("none");
    let identity = if is_named {
        options.nested(OPTION, "identity.", WHY)
    } else {
        options.within(&EMPTY, "identity.")
    };
    let sub = identity.object.str("sub").unwrap_or_default();
    if is_named {
        identity.refuse_unknown(OPTIONS);
        if identity.object.get("url").is_some() && identity.object.get("from").is_some() {
            identity.refuse("from", msg!("either `from` or `url` says who the user is"));
        }
        identity.one_of("from", r#""token_response""#);
        if sub.is_empty() || HIDDEN_CLAIMS.contains(&sub) {
            identity.refuse("sub", WHY);
        }
    }
    let scope = options.object.str("scope").unwrap_or_default();
    let members = Members {
        sub: sub.to_owned(),
        profile: profile_address(&identity),
        scope_has_commas: strings::contains_byte(scope.as_bytes(), b','),
    };
    (Some(members), claims(&identity, ""))
}

/// Refuses an option that has no effect without an ID token if `identity` is configured. The value `false` is accepted.
pub fn refuse_with_identity(options: &Options<'_>, name: &str) {
    let value = options.object.get(name);
    if value.is_some_and(|value| *value != Value::Bool(false))
        && options.object.get(OPTION).is_some()
    {
        options.refuse(name, msg!("a login with `identity` has no ID token"));
    }
}

/// Returns the only accepted signing algorithm of ID tokens, if the configuration pins one.
pub(crate) fn id_token_alg(options: &Options<'_>) -> Option<Algorithm> {
    const OPTION: &str = "idTokenSignedResponseAlg";
    const WHY: &str = msg!(
        "it must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519; `none` and HMAC are not accepted"
    );
    refuse_with_identity(options, OPTION);
    let value = options.object.get(OPTION)?;
    let algorithm = value.as_str().and_then(Algorithm::from_name);
    if algorithm.is_none() {
        options.refuse(OPTION, WHY);
    }
    algorithm
}

/// Returns the audiences that an ID token without `azp` may have in addition to this client.
pub(crate) fn trusted_audiences(options: &Options<'_>) -> Vec<String> {
    const OPTION: &str = "trustedAudiences";
    refuse_with_identity(options, OPTION);
    options.strings(OPTION, "", msg!("it must be an array of strings"))
}

/// Returns the claims whose values must not change at a refresh.
pub(crate) fn same_claims(options: &Options<'_>) -> Vec<String> {
    const OPTION: &str = "sameClaims";
    refuse_with_identity(options, OPTION);
    let claims = options.strings(OPTION, "", msg!("it must be an array of claim names"));
    if claims
        .iter()
        .any(|claim| strings::contains_word(OF_ONE_TOKEN, claim))
    {
        let why = msg!(
            "`iss` and `sub` are always compared; times, hashes, audiences and identifiers of a token may change"
        );
        options.refuse(OPTION, why);
    }
    claims
}

/// Returns true if the `UserInfo` endpoint is asked for claims after each login.
pub(crate) fn asks_user_info(options: &Options<'_>) -> bool {
    const OPTION: &str = "userInfo";
    refuse_with_identity(options, OPTION);
    options.boolean(OPTION)
}

/// Returns the option `url` of `identity`.
fn profile_address(identity: &Options<'_>) -> Option<Url> {
    const WHY: &str =
        msg!("it must be an https URL without user name and fragment (http is for loopback only)");
    let text = identity.object.get("url")?.as_str().unwrap_or_default();
    let url = Url::parse(text)
        .filter(|url| url.is_trustworthy() && !url.has_userinfo() && !url.has_fragment());
    if url.is_none() {
        identity.refuse("url", WHY);
    }
    url
}

/// Returns true for a claim that a response about the user may state besides `sub`.
pub(crate) fn is_about_user(claim: &str) -> bool {
    claim != "sub" && !HIDDEN_CLAIMS.contains(&claim)
}

/// Returns the option `claims`, each claim once. If it is missing, returns the words of `default`.
fn claims(options: &Options<'_>, default: &str) -> Vec<String> {
    const OPTION: &str = "claims";
    let mut claims = Vec::new();
    for claim in options.strings(OPTION, default, msg!("it must be an array of claim names")) {
        if HIDDEN_CLAIMS.contains(&&*claim) {
            let why = msg!("hashes, the nonce and tokens stay in the vault");
            options.refuse(OPTION, why);
        }
        // `sub` is not added, because pages always see it.
        if claim != "sub" && !claims.contains(&claim) {
            claims.push(claim);
        }
    }
    claims
}
