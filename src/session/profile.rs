//! The profile address: an API that says who the user is, at a server without OpenID Connect (`identity.url`). It is
//! requested once after each login, with the access token.

use crate::Secret;
use crate::base::error::{Code, Error, Result, quote_url};
use crate::base::http::{HttpReply, HttpRequest, Outcome};
use crate::codec::json::{self, Value};
use crate::codec::url::Url;
use crate::config::Config;
use crate::egress::token_reflection::Guard;
use crate::oauth::identity::Members;
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::prelude::*;

/// The longest profile that is accepted, in bytes.
const MAX_PROFILE: usize = 64 * 1024;

/// Builds the request for the profile of the user to whom `access_token` was issued. Returns `None` without a profile
/// address.
pub(crate) fn request(config: &Config, access_token: &Secret) -> Option<HttpRequest> {
    let profile = config.profile()?;
    let mut request = HttpRequest::get(profile.without_fragment().to_owned());
    request.access_token = Some(profile.witness().with(access_token.clone()));
    Some(request)
}

/// Returns the claims in the response of the profile address, in the form of [`Members::of`].
///
/// # Errors
/// [`Code::ProfileFailed`] if the response is not a profile, contains a token, or does not identify the user.
pub(crate) fn read(config: &Config, outcome: &Outcome, tokens: &TokenSet) -> Result<Secret> {
    let Some(identity) = &config.identity else {
        return Err(Error::new(Code::ProfileFailed, ""));
    };
    claims(identity, &config.claims, outcome, tokens).map_err(|why| {
        let mut status = String::new();
        if let (Outcome::Reply(reply), true) = (outcome, why.ends_with(' ')) {
            json::write_number(&mut status, reply.status.into());
        }
        let url = identity.profile.as_deref().map_or("", Url::href);
        let message = [
            msg!("the profile address "),
            &quote_url(url),
            " ",
            why,
            &status,
        ];
        Error::of(Code::ProfileFailed, &message)
    })
}

/// Returns the claims, or the reason why there are none. A reason that ends in a space is followed by the status.
fn claims(
    members: &Members,
    names: &[String],
    outcome: &Outcome,
    tokens: &TokenSet,
) -> core::result::Result<Secret, &'static str> {
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::KeyLost(_) => return Err(msg!("needs a key that is gone")),
        Outcome::Failed | Outcome::Opaque => {
            return Err(msg!(
                "did not respond (is it up, and does its CORS allow this origin and the header Authorization?)"
            ));
        }
    };
    match reply.status {
        200 => {}
        // Browsers hide the status of a redirect that was not followed.
        0 | 300..=399 => return Err(msg!("responded with a redirect, which is not followed")),
        _ => return Err(msg!("responded with status ")),
    }
    let body =
        short_body(reply).ok_or(msg!("responded with more than 64 KB, or not with UTF-8"))?;
    let refresh_token = tokens.refresh_token.as_ref().map_or("", Secret::expose);
    let guard = Guard::search_for(&[tokens.access_token.expose(), refresh_token]);
    if guard.is_some_and(|guard| guard.is_in(body.as_bytes())) {
        return Err(msg!("responded with a token"));
    }
    let Ok(Value::Object(ref profile)) = token_endpoint::parse_object(reply) else {
        return Err(msg!("did not respond with a JSON object"));
    };
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
