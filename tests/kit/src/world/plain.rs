//! The oracle's reading of the responses of a server without OpenID Connect.

use rules::base::http::{HttpReply, Outcome};
use rules::codec::json::{Object, Value};
use rules::config::Flow;

use super::provider::text;
use super::provider::{Endpoint, Provider};
use crate::reply::{json, refusal};

impl Provider {
    /// Makes the server identify users in the way that the configuration expects, and know the resource of logins.
    pub fn adapt_to(&mut self, flow: &Flow) {
        self.login_resource.clone_from(&flow.target.resource);
        if let Some(identity) = &flow.identity {
            self.is_plain = true;
            self.sub_member.clone_from(&identity.sub);
        }
        let user_info = flow.asks_user_info.then(|| {
            let endpoint = [&*flow.issuer, "/userinfo"].concat();
            let member = format!(r#","userinfo_endpoint":"{endpoint}""#);
            self.more_metadata.push_str(&member);
            endpoint
        });
        self.profile_url = flow
            .profile()
            .map(|profile| profile.without_fragment().to_owned())
            .or(user_info);
    }
}

/// Returns the tokens of a successful response.
pub(super) fn tokens(reply: &HttpReply) -> Option<Object> {
    successful(reply).filter(|object| object.str("access_token").is_some())
}

/// Returns the JSON object in a successful response.
pub(super) fn object(outcome: &Outcome) -> Option<Object> {
    match outcome {
        Outcome::Reply(reply) => successful(reply),
        _ => None,
    }
}

fn successful(reply: &HttpReply) -> Option<Object> {
    match Value::parse_tolerant(reply.text()?) {
        Ok(Value::Object(ref object)) if (200..300).contains(&reply.status) => Some(object.clone()),
        _ => None,
    }
}

/// Returns the outcome as a server with OpenID Connect would have sent it: a refusal has status 400 and the code of RFC
/// 6749, and a token that has no end has a very late one.
pub(super) fn in_usual_form(outcome: &Outcome, endpoint: Endpoint) -> Outcome {
    let Outcome::Reply(reply) = outcome else {
        return outcome.clone();
    };
    if let Some(mut object) = tokens(reply) {
        let is_absent = |name| object.get(name).is_none();
        let is_login = endpoint == Endpoint::Exchange;
        if is_login && is_absent("refresh_token") && is_absent("expires_in") {
            object.push("expires_in", (1_u64 << 40).into());
        }
        return Outcome::from(json(200, &text(&object)));
    }
    let body = reply.text().unwrap_or_default();
    let body = Value::parse(body).ok();
    match body
        .as_ref()
        .and_then(|body| body.as_object()?.str("error"))
    {
        Some("bad_refresh_token" | "bad_verification_code") if reply.status == 200 => {
            Outcome::from(refusal("invalid_grant"))
        }
        Some(code) if reply.status == 200 => Outcome::from(refusal(code)),
        _ => outcome.clone(),
    }
}
