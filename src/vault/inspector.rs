//! What the session inspector is told: events, kinds, ages and fingerprints. Never a value.
//!
//! Off unless the configuration says `inspect: true`. A fingerprint is a hash salted with octets
//! that never leave the vault, so it tells two tokens apart and nothing else about them.
//!
//! Few configurations say so, and every user would download it: the module for browsers is built
//! with and without it (the Cargo feature `extended`). Where it is left out, [`Vault::is_inspected`] is
//! a constant, and the compiler drops whatever is done only if it is true.

use crate::Secret;
use crate::base::clock::UnixMillis;
use crate::base::error::Code;
use crate::base::secret;
use crate::codec::json::Writer;
use crate::oauth::pkce;
use crate::prelude::*;
use crate::vault::message::message;
use crate::vault::{CallId, Entropy, PortId, Vault};

/// Whether this build has an inspector.
const IS_BUILT_IN: bool = cfg!(feature = "extended");

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 8;

/// What fingerprints are salted with.
pub(super) fn salt(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut salt = [0; 16];
    if IS_BUILT_IN {
        entropy.fill(&mut salt);
    }
    salt
}

impl Vault {
    /// Whether somebody may want to know.
    pub(super) const fn is_inspected(&self) -> bool {
        #[cfg(feature = "extended")]
        return self.config.inspect;
        #[cfg(not(feature = "extended"))]
        false
    }

    /// Something happened that concerns no call.
    pub(super) fn trace(&mut self, event: &'static str, detail: Option<&str>) {
        self.trace_members(event, None, None, None, detail);
    }

    /// Something happened to the tokens of this generation.
    pub(super) fn trace_generation(&mut self, event: &'static str) {
        let generation = self
            .session
            .as_deref()
            .map(crate::session::Session::generation);
        self.trace_members(event, None, None, generation, None);
    }

    /// Something happened to a call.
    pub(super) fn trace_call(
        &mut self,
        event: &'static str,
        call: CallId,
        status: Option<u16>,
        detail: Option<&str>,
    ) {
        self.trace_members(event, Some(call), status, None, detail);
    }

    fn trace_members(
        &mut self,
        event: &'static str,
        call: Option<CallId>,
        status: Option<u16>,
        generation: Option<u64>,
        detail: Option<&str>,
    ) {
        if !self.is_inspected() {
            return;
        }
        let text = message("trace")
            .number("at", self.now.wall)
            .text("event", event)
            .optional_number("call", call.map(u64::from))
            .optional_number("status", status.map(u64::from))
            .optional_number("generation", generation)
            .optional_text("detail", detail)
            .finish();
        self.broadcast(&text);
    }

    pub(super) fn inspect(&mut self, port: PortId, id: u64) {
        if !self.is_inspected() {
            let message = msg!("the configuration does not say inspect: true");
            return self.decline(port, id, Code::Unsupported, message);
        }
        let holdings = ["[", &self.holdings().join(","), "]"].concat();
        let mut inspection = message("inspection");
        inspection.number("id", id).json("holdings", &holdings);
        self.post(port, inspection.finish());
    }

    fn holdings(&self) -> Vec<String> {
        let mut holdings = Vec::new();
        if let Some(session) = &self.session {
            let (since, expires_at) = session.access_token_times();
            session.for_each_token(|kind, token| {
                let (since, expires_at) = match kind {
                    "access_token" => (since, Some(expires_at)),
                    // Rotated along with the access token.
                    "refresh_token" => (since, None),
                    _ => (session.id_token_since(), None),
                };
                let generation = (kind != "id_token").then(|| session.generation());
                let fingerprint = self.fingerprint(token);
                let fingerprint = Some(fingerprint.as_str());
                holdings.push(holding(kind, since, expires_at, generation, fingerprint).finish());
            });
            #[cfg(feature = "extended")]
            for (which, token, since, until, generation) in session.others() {
                let target = &self.config.rules.targets()[which];
                let fingerprint = Some(self.fingerprint(token));
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
        for pending in self.logins.pending() {
            let since = pending.created_at;
            let expires_at = Some(since.saturating_add(600_000));
            holdings.push(holding("pending_login", since, expires_at, None, None).finish());
        }
        holdings
    }

    fn fingerprint(&self, token: &Secret) -> String {
        let mut salted = self.fingerprint_salt.to_vec();
        salted.extend_from_slice(token.expose().as_bytes());
        let hash = pkce::sha256(&salted);
        secret::wipe(&mut salted);
        let digit = |i: usize| {
            let nibble = hash[i / 2] >> if i.is_multiple_of(2) { 4 } else { 0 } & 15;
            char::from_digit(u32::from(nibble), 16).unwrap_or('0')
        };
        (0..DIGITS).map(digit).collect()
    }
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
