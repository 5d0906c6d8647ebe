//! Data for the session inspector: the kind, age and fingerprint of each token, but never its value, and the age of
//! each pending login. [`Context::trace`] and similar functions report events to the inspector.
//!
//! The inspector is off unless the configuration has `inspect: true`. A fingerprint is the start of a salted hash of a
//! token. The salt never leaves the vault, so two fingerprints reveal nothing except that their tokens differ or are
//! the same.

use crate::context::Context;
use crate::io::{PortId, RequestId};
use crate::message::message;
use rules::Secret;
use rules::base::clock::UnixMillis;
use rules::base::error::Code;
use rules::base::secret;
use rules::codec::json::Writer;
use rules::login::authorization_request::Pending;
use rules::oauth::pkce;
use rules::prelude::*;

/// The number of hexadecimal digits of a fingerprint.
const DIGITS: usize = 8;

/// Posts to an inspector the list of the tokens and pending logins that the vault holds.
pub(super) fn inspect<'a>(
    ctx: &mut Context,
    pending: impl Iterator<Item = &'a Pending>,
    port: PortId,
    id: RequestId,
) {
    if !ctx.is_inspected() {
        let message = msg!("the configuration does not have inspect: true");
        return ctx.decline(port, id, Code::Unsupported, message);
    }
    let holdings = ["[", &holdings(ctx, pending).join(","), "]"].concat();
    let mut inspection = message("inspection");
    inspection.number("id", id.0).json("holdings", &holdings);
    ctx.post(port, inspection.finish());
}

fn holdings<'a>(ctx: &Context, pending: impl Iterator<Item = &'a Pending>) -> Vec<String> {
    let mut holdings = Vec::new();
    if let Some(session) = &ctx.session {
        let (since, expires_at) = session.access_token_times();
        session.for_each_token(|kind, token| {
            let (since, expires_at) = match kind {
                "access_token" => (since, Some(expires_at)),
                // The refresh token is usually issued together with the login's access token.
                "refresh_token" => (since, None),
                _ => (session.id_token_since(), None),
            };
            let generation = (kind != "id_token").then(|| session.generation());
            let fingerprint = fingerprint(ctx, token);
            let fingerprint = Some(fingerprint.as_str());
            holdings.push(holding(kind, since, expires_at, generation, fingerprint).finish());
        });
        for (target, token, since, until, generation) in session.other_tokens() {
            let target = &ctx.config.rules.targets()[target];
            let fingerprint = Some(fingerprint(ctx, token));
            let mut holding = holding(
                "access_token",
                since,
                Some(until),
                Some(generation),
                fingerprint.as_deref(),
            );
            holding
                .optional_text("resource", target.resource.as_deref())
                .optional_text("audience", target.audience.as_deref())
                .optional_text("scope", target.scope.as_deref());
            holdings.push(holding.finish());
        }
    }
    for pending in pending {
        let since = pending.created_at;
        let expires_at = Some(since.saturating_add(600_000));
        holdings.push(holding("pending_login", since, expires_at, None, None).finish());
    }
    holdings
}

fn fingerprint(ctx: &Context, token: &Secret) -> String {
    let mut salted = ctx.fingerprint_salt.to_vec();
    salted.extend_from_slice(token.expose().as_bytes());
    let hash = pkce::sha256(&salted);
    secret::wipe(&mut salted);
    let digit = |i: usize| {
        let nibble = hash[i / 2] >> if i.is_multiple_of(2) { 4 } else { 0 } & 15;
        char::from_digit(u32::from(nibble), 16).unwrap_or('0')
    };
    (0..DIGITS).map(digit).collect()
}

fn holding(
    kind: &str,
    since: UnixMillis,
    expires_at: Option<UnixMillis>,
    generation: Option<u64>,
    fingerprint: Option<&str>,
) -> Writer {
    let mut holding = Writer::object();
    holding
        .text("kind", kind)
        .number("since", since)
        .optional_number("expiresAt", expires_at)
        .optional_number("generation", generation)
        .optional_text("fingerprint", fingerprint);
    holding
}
