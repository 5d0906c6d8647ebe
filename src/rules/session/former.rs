//! Replaced access tokens. Most providers do not revoke these tokens, so APIs may accept them until they expire.

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::egress::policy::TokenSelector;
use crate::prelude::*;

/// A replaced access token of the login or of a target.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) of: TokenSelector,
    pub(super) access_token: Secret,
    pub(super) expires_in: Millis,
    pub(super) requested: Instant,
}

/// For the login and for each target, the access token that was replaced last.
#[derive(Clone, Debug, Default)]
pub(super) struct FormerTokens(Vec<Former>);

impl FormerTokens {
    /// Remembers a replaced token in place of an earlier one of the same target.
    pub(super) fn remember(&mut self, former: Former) {
        for known in &mut self.0 {
            if known.of == former.of {
                *known = former;
                return;
            }
        }
        self.0.push(former);
    }

    /// Adds the replaced token of this target to `tokens`, unless the replaced token has expired.
    pub(super) fn push_to(&self, of: TokenSelector, now: &Instant, tokens: &mut Vec<Secret>) {
        for former in &self.0 {
            if former.of == of && former.requested.elapsed(now) < former.expires_in {
                tokens.push(former.access_token.clone());
            }
        }
    }
}
