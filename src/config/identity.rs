//! The options `identity` and `claims`: who the user is, and the claims that pages see.

use super::options;
use super::reader::{EMPTY, Options};
use crate::base::capability;
use crate::base::strings;
use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::oauth::identity::Members;
use crate::prelude::*;

const OPTION: &str = "identity";

const WHY: &str = msg!(
    "it must be 'none', or an object such as { from: 'token_response', sub: 'user_id' } or { url: 'https://api.example.com/me', sub: 'id' } that names members of a response"
);

/// The claims that a page may see by default.
const DEFAULT_CLAIMS: &str = "name email preferred_username picture locale";

/// Claims that bind the ID token to secrets of the login, and members of a token response that are secrets. Pages do
/// not need them.
const HIDDEN_CLAIMS: &str = if capability::PlainOauth::WITNESS.is_some() {
    "nonce at_hash c_hash s_hash access_token refresh_token id_token"
} else {
    "nonce at_hash c_hash s_hash"
};

/// Returns the members that say who the user is, if the user has no ID token, and the claims that pages may see besides
/// `sub`.
pub(crate) fn read(
    options: &Options<'_>,
) -> (Option<capability::PlainOauth<Members>>, Vec<String>) {
    let value = options.object.get(OPTION);
    let (Some(has), Some(value)) = (capability::PlainOauth::WITNESS, value) else {
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
        identity.refuse_unknown(options::OF_IDENTITY);
        let has_url =
            capability::ProfileAddress::WITNESS.is_some() && identity.object.get("url").is_some();
        if has_url && identity.object.get("from").is_some() {
            identity.refuse("from", msg!("either `from` or `url` says who the user is"));
        }
        identity.one_of("from", r#""token_response""#);
        if sub.is_empty() || strings::contains_word(HIDDEN_CLAIMS, sub) {
            identity.refuse("sub", WHY);
        }
    }
    let scope = options.object.str("scope").unwrap_or_default();
    let members = Members {
        sub: sub.to_owned(),
        profile: profile_address(&identity),
        scope_has_commas: strings::contains_byte(scope.as_bytes(), b','),
    };
    (Some(has.with(members)), claims(&identity, ""))
}

/// Refuses an option that has no effect without an ID token if `identity` is configured. The value `false` is accepted.
pub(crate) fn refuse_with_identity(options: &Options<'_>, name: &str) {
    if capability::PlainOauth::WITNESS.is_none() {
        return;
    }
    let value = options.object.get(name);
    if value.is_some_and(|value| *value != Value::Bool(false))
        && options.object.get(OPTION).is_some()
    {
        options.refuse(name, msg!("a login with `identity` has no ID token"));
    }
}

/// Returns the option `url` of `identity`.
fn profile_address(identity: &Options<'_>) -> Option<capability::ProfileAddress<Url>> {
    const WHY: &str =
        msg!("it must be an https URL without user name and fragment (http is for loopback only)");
    let has = capability::ProfileAddress::WITNESS?;
    let text = identity.object.get("url")?.as_str().unwrap_or_default();
    let url = Url::parse(text)
        .filter(|url| url.is_trustworthy() && !url.has_userinfo() && !url.has_fragment());
    if url.is_none() {
        identity.refuse("url", WHY);
    }
    Some(has.with(url?))
}

/// Returns the option `claims`, each claim once. If it is missing, returns the words of `default`.
fn claims(options: &Options<'_>, default: &str) -> Vec<String> {
    const OPTION: &str = "claims";
    let mut claims = Vec::new();
    for claim in options.strings(OPTION, default, msg!("it must be an array of claim names")) {
        if strings::contains_word(HIDDEN_CLAIMS, &claim) {
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
