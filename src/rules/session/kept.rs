//! The stored form of a session, for a vault that starts later or runs at the same time.
//!
//! Times are stored as ages, because the monotonic clock of another worker started at another time. The time since the
//! session was stored is measured by the wall clock, and is never negative.

use super::{EndReason, Session, Times};
use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::codec::json::{Object, Value, Writer};
use crate::config::Flow;
use crate::oauth::dpop::PublicKey;
use crate::oauth::identity::{Identity, Members};
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;

/// The version of the format. Other versions are ignored.
const VERSION: u64 = 1;

/// The content of the store.
#[derive(Debug)]
pub enum Kept {
    /// An active session.
    Session(Box<Session>),
    /// The session with this identifier has ended.
    Ended(String, EndReason),
}

impl Session {
    /// Returns the identifier of the session, which is the same in all vaults and not a secret.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }
}

/// The circumstances in which a session is stored.
#[derive(Clone, Copy, Debug)]
pub struct Storing<'a> {
    /// The client and its provider.
    pub flow: &'a Flow,
    /// The provider's endpoints, which calls of the vaults that read the session must not reach.
    pub endpoints: &'a [String],
    /// The present time.
    pub now: &'a Instant,
}

/// Serializes the session.
#[must_use]
pub fn kept(session: &Session, storing: Storing<'_>) -> Secret {
    let Storing {
        flow,
        endpoints,
        now,
    } = storing;
    let text = |secret: Option<&Secret>| secret.map(|s| s.expose().to_owned());
    let tokens = &session.tokens;
    let refresh_token = text(tokens.refresh_token.as_ref());
    let latest = text(session.latest.as_ref().map(Identity::text));
    let longest = session.times.longest;
    let mut kept = beginning(&session.sid, flow);
    if let Some(key) = &session.dpop_key {
        kept.json("dpop", key.jwk());
    }
    kept.number("issued", session.login_issued);
    if longest < Millis::MAX {
        kept.number("longest", longest.0);
    }
    if let Some(members) = &flow.identity {
        kept.text("sub_of", &members.source());
    }
    let kept = kept
        .number("generation", session.generation)
        .number("kept_at", now.wall)
        .number("age", session.times.started.elapsed(now).0)
        .number("idle", session.times.last_activity.elapsed(now).0)
        .number("touches", session.times.stored_activities)
        .number("token_age", session.requested.elapsed(now).0)
        .text("access_token", tokens.access_token.expose())
        .number("expires_in", tokens.expires_in.0)
        .optional_text("refresh_token", refresh_token.as_deref())
        .optional_number("refresh_expires_in", tokens.refresh_expires_in.map(|t| t.0))
        .optional_text("scope", tokens.scope.as_deref())
        .optional_text("requested_scope", session.requested_scope())
        .text("identity", session.original.text().expose())
        .optional_text("latest_id_token", latest.as_deref())
        .flag("interaction_required", session.interaction_required)
        .value("endpoints", &Value::from(endpoints.to_vec()))
        .finish();
    Secret::new(kept)
}

/// Serializes the end of the session with this identifier.
#[must_use]
pub fn ended(sid: &str, reason: EndReason, flow: &Flow) -> Secret {
    let mut writer = beginning(sid, flow);
    // An earlier version knows only the reason that pages see.
    writer.text("ended", reason.seen_as());
    if reason == EndReason::Forgotten {
        writer.flag("forgotten", true);
    }
    Secret::new(writer.finish())
}

fn beginning(sid: &str, flow: &Flow) -> Writer {
    let mut writer = Writer::object();
    writer
        .number("version", VERSION)
        .text("issuer", &flow.issuer)
        .text("client_id", &flow.client_id)
        .text("sid", sid);
    writer
}

/// Parses the stored form. Returns `None` for data that this version did not write for this configuration.
#[must_use]
pub fn restore(text: &str, flow: &Flow, now: &Instant) -> Option<Kept> {
    let value = Value::parse(text).ok()?;
    let object = value.as_object()?;
    let is_ours = number(object, "version")? == VERSION
        && object.str("issuer")? == flow.issuer
        && object.str("client_id")? == flow.client_id;
    let sid = object.str("sid").filter(|_| is_ours)?.to_owned();
    if let Some(ended) = object.str("ended") {
        let is_forgotten = object.get("forgotten") == Some(&Value::Bool(true));
        let reason = match is_forgotten {
            true => EndReason::Forgotten,
            false => EndReason::from_name(ended)?,
        };
        return Some(Kept::Ended(sid, reason));
    }
    let kept_at = number(object, "kept_at")?;
    let ago = |name| Some(before(now, kept_at, number(object, name)?));
    let secret = |name| object.str(name).map(Secret::from);
    let tokens = TokenSet {
        access_token: secret("access_token")?,
        expires_in: Millis(number(object, "expires_in")?),
        refresh_token: secret("refresh_token"),
        refresh_expires_in: number(object, "refresh_expires_in").map(Millis),
        scope: object.str("scope").map(ToOwned::to_owned),
        ..TokenSet::default()
    };
    let jwk = object.get("dpop");
    let key = jwk.and_then(|jwk| PublicKey::from_jwk(jwk.as_object()?));
    // Bound tokens must not become unbound ones if the key cannot be read.
    if key.is_some() != flow.uses_dpop || jwk.is_some() != flow.uses_dpop {
        return None;
    }
    let requested = ago("token_age")?;
    let latest = object.str("latest_id_token");
    let original = Identity::from_text(object.str("identity")?)?.visible(flow.asks_user_info);
    // After a change of `identity`, the claims have another meaning.
    let sub_of = flow.identity.as_ref().map(Members::source);
    if original.id_token().is_some() != flow.has_openid()
        || object.str("sub_of") != sub_of.as_deref()
    {
        return None;
    }
    let longest = number(object, "longest").map_or(Millis::MAX, Millis);
    Some(Kept::Session(Box::new(Session {
        sid,
        original,
        latest: latest.and_then(Identity::from_text),
        id_token_requested: requested.wall,
        tokens: Box::new(tokens),
        dpop_key: key,
        requested,
        generation: number(object, "generation")?,
        login_issued: number(object, "issued")?,
        others: Vec::new(),
        times: Times {
            started: ago("age")?,
            last_activity: ago("idle")?,
            stored_activities: number(object, "touches")?,
            longest,
        },
        requested_scope: object.str("requested_scope").map(ToOwned::to_owned),
        interaction_required: object.get("interaction_required")?.as_bool()?,
        interaction_code: None,
        endpoints: {
            let endpoints = object.get("endpoints")?.as_array()?.iter();
            endpoints
                .filter_map(|e| Some(e.as_str()?.to_owned()))
                .collect()
        },
    })))
}

/// Returns the instant that was `age` milliseconds before `kept_at`. A wall clock that was set back does not make this
/// instant later.
fn before(now: &Instant, kept_at: UnixMillis, age: u64) -> Instant {
    let age = Millis(now.wall.saturating_sub(kept_at)) + Millis(age);
    Instant {
        monotonic: now.monotonic.saturating_sub(age),
        wall: now.wall.saturating_sub(age.0),
    }
}

pub(super) fn number(object: &Object, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}
