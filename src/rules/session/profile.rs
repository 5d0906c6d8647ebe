//! The profile address: an API that says who the user is, at a server without OpenID Connect (`identity.url`), or the
//! provider's UserInfo endpoint (`userInfo`, OIDC Core 5.3). It is requested once after each login, with the access
//! token.

use crate::Secret;
use crate::base::error::{Code, Error, Result, quote_url};
use crate::base::http::{HttpReply, HttpRequest, Outcome};
use crate::codec::json::{self, Object, Value};
use crate::codec::url::Url;
use crate::config::Flow;
use crate::oauth::identity::{Identity, Members};
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::prelude::*;
use crate::session::named;

const TOKEN: &str = msg!("responded with a token");

/// The longest profile that is accepted, in bytes.
const MAX_PROFILE: usize = 64 * 1024;

/// Returns the address of the profile. Returns `None` if the configuration asks for no profile.
///
/// # Errors
/// [`Code::ProfileFailed`] if `metadata` has no UserInfo endpoint, or has one that must not get the token.
pub fn address(flow: &Flow, metadata: &Metadata) -> Result<Option<String>> {
    if let Some(profile) = flow.profile() {
        return Ok(Some(profile.without_fragment().to_owned()));
    }
    if !flow.asks_user_info {
        return Ok(None);
    }
    let Some(endpoint) = metadata.userinfo_endpoint.as_deref() else {
        let why = msg!("the provider's metadata has no userinfo_endpoint");
        return Err(Error::new(Code::ProfileFailed, why));
    };
    // The worker's connect-src was written for the origins that the configuration names.
    let is_configured = || {
        let members = flow.metadata_members.as_ref();
        members.is_some_and(|members| members.get("userinfo_endpoint").is_some())
    };
    let refused = |why| {
        Err(failed(&[
            msg!("the UserInfo endpoint "),
            &quote_url(endpoint),
            why,
        ]))
    };
    let url = Url::parse(endpoint).filter(|url| url.is_trustworthy() && !url.has_userinfo());
    match (url, Url::parse(&flow.issuer)) {
        (Some(url), Some(issuer)) if url.is_same_origin(&issuer) || is_configured() => {
            Ok(Some(url.without_fragment().to_owned()))
        }
        (None, _) => refused(msg!(" is not an https URL")),
        _ => refused(msg!(
            " is on another origin than the issuer (if that is right, name it in metadata.userinfo_endpoint)"
        )),
    }
}

/// Builds the request for the profile of the user to whom `access_token` was issued.
pub fn request(address: String, access_token: &Secret) -> HttpRequest {
    let mut request = HttpRequest::get(address);
    request.access_token = Some(access_token.clone());
    request
}

/// Returns the claims in the response of the profile address, in the form of [`Members::of`].
///
/// # Errors
/// [`Code::ProfileFailed`] if the response is not a profile, contains a token, or does not identify the user.
pub fn read(flow: &Flow, outcome: &Outcome, tokens: &TokenSet) -> Result<Secret> {
    let Some(identity) = &flow.identity else {
        return Err(Error::new(Code::ProfileFailed, ""));
    };
    let claims = profile(outcome, tokens).and_then(|profile| {
        identified(identity, &flow.kept_claims, &profile).map_err(str::to_owned)
    });
    let url = identity.profile.as_ref().map_or("", Url::href);
    claims.map_err(|why| failed(&[msg!("the profile address "), &quote_url(url), " ", &why]))
}

/// Returns the user by a verified ID token, with the claims of a UserInfo response.
///
/// # Errors
/// [`Code::ProfileFailed`] if the response is not a UserInfo response, contains a token, or is about another user (OIDC
/// Core 5.3.2).
pub fn with_user_info(
    flow: &Flow,
    outcome: &Outcome,
    tokens: &TokenSet,
    user: Identity,
) -> Result<Identity> {
    let why = match profile(outcome, tokens) {
        Ok(info) if info.str("sub") == Some(user.subject()) => {
            let user = user.with_user_info(&info, &flow.kept_claims);
            // The claims may contain a token that was escaped in the response.
            if !named::contains_token(&user.user_info(), &all_of(tokens)) {
                return Ok(user);
            }
            TOKEN.to_owned()
        }
        Ok(_) => msg!("named another user than the ID token").to_owned(),
        Err(why) => why,
    };
    Err(failed(&[msg!("the UserInfo endpoint "), &why]))
}

fn failed(message: &[&str]) -> Error {
    Error::of(Code::ProfileFailed, message)
}

/// Returns the members of a profile, or the reason why there are none.
fn profile(outcome: &Outcome, tokens: &TokenSet) -> core::result::Result<Object, String> {
    let because = |why: &str| Err(why.to_owned());
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::KeyLost => return because(msg!("needs a key that is gone")),
        Outcome::Failed | Outcome::Opaque => {
            return because(msg!(
                "did not respond (is it up, and does its CORS allow this origin and the header Authorization?)"
            ));
        }
    };
    match reply.status {
        200 => {}
        // Browsers hide the status of a redirect that was not followed.
        0 | 300..=399 => return because(msg!("responded with a redirect, which is not followed")),
        status => {
            let mut why = msg!("responded with status ").to_owned();
            json::write_number(&mut why, status.into());
            if matches!(status, 401 | 403) {
                why.push_str(msg!(
                    ": it refuses the access token (with the option `resource`, the token may be for the API only)"
                ));
            }
            return Err(why);
        }
    }
    let Some(body) = short_body(reply) else {
        return because(msg!("responded with more than 64 KB, or not with UTF-8"));
    };
    if named::contains_token(body, &all_of(tokens)) {
        return because(TOKEN);
    }
    match token_endpoint::json_value(reply).map(Value::into_object) {
        Some(Some(profile)) => Ok(profile),
        _ if is_jwt(reply) => because(msg!(
            "responded with application/jwt: signed and encrypted responses are not supported"
        )),
        _ => because(msg!("did not respond with a JSON object")),
    }
}

/// Returns the tokens that no profile may contain.
const fn all_of(tokens: &TokenSet) -> [Option<&Secret>; 3] {
    [
        Some(&tokens.access_token),
        tokens.refresh_token.as_ref(),
        // The ID token. Without OpenID Connect, this member is empty until there is a profile.
        tokens.identity.as_ref(),
    ]
}

fn identified(
    members: &Members,
    names: &[String],
    profile: &Object,
) -> core::result::Result<Secret, &'static str> {
    let claims = members.of(profile, names);
    let is_identified = Value::parse(claims.expose())
        .ok()
        .and_then(Value::into_object)
        .is_some_and(|claims| claims.str("sub").is_some_and(|sub| !sub.is_empty()));
    if is_identified {
        Ok(claims)
    } else {
        Err(msg!(
            "responded without a string or whole number of the name that `identity.sub` gives"
        ))
    }
}

fn short_body(reply: &HttpReply) -> Option<&str> {
    let body = reply.body.as_ref()?.expose();
    (body.len() <= MAX_PROFILE).then_some(body)
}

fn is_jwt(reply: &HttpReply) -> bool {
    let content_type = reply.content_type.as_deref().unwrap_or_default();
    content_type
        .to_ascii_lowercase()
        .starts_with("application/jwt")
}
