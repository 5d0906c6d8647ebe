//! The verification of the user in a token response.
//!
//! With OpenID Connect, the response has an ID token. The vault selects the key, the host verifies the signature with
//! this key, and [`Evidence::user`] then checks the claims. [`SignatureCheck`] is the part that logins and refreshes share.
//!
//! If the provider's known keys do not include the token's key, the key may be new. The keys are then fetched again, at
//! most once for each token.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output};
use crate::provider::Provider;
use rules::base::clock::Instant;
use rules::base::error::{Code, Error, Result};
use rules::oauth::id_token::{Occasion, Rejected, Unverified};
use rules::oauth::identity::Identity;
use rules::oauth::jwks::SelectError;
use rules::oauth::token_endpoint::TokenSet;
use rules::prelude::*;
use rules::session::evidence::Evidence;

/// The check of an ID token's signature.
#[derive(Default)]
pub(super) struct SignatureCheck {
    /// The check that is in flight; `None` while the ID token waits for keys.
    op: Option<OpId>,
    keys_were_fetched: bool,
    /// True if the provider's document was requested because the key is unknown with pinned metadata.
    document_was_requested: bool,
}

impl SignatureCheck {
    pub(super) fn awaits(&self, op: OpId) -> bool {
        self.op == Some(op)
    }

    pub(super) const fn awaits_keys(&self) -> bool {
        self.op.is_none()
    }

    /// Begins to check the signature if the key is known. Otherwise fetches the provider's keys.
    ///
    /// # Errors
    /// [`Code::IdTokenInvalid`] if the key is unknown although the keys were fetched for this token, or if several keys
    /// match.
    pub(super) fn begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        unverified: &Unverified,
        purpose: Purpose,
    ) -> Result<()> {
        let selected = match &provider.keys {
            Some(keys) => keys.select(unverified.algorithm(), unverified.kid()),
            None => Err(SelectError::Unknown),
        };
        match selected {
            Ok(key) => {
                let jwk = key.public_json().into();
                let op = ctx.begin_operation(purpose, None);
                self.op = Some(op);
                ctx.outputs.push(Output::Verify {
                    op,
                    algorithm: unverified.algorithm(),
                    jwk,
                    signing_input: unverified.signing_input().into(),
                    signature: unverified.signature().to_vec(),
                });
                Ok(())
            }
            Err(SelectError::Unknown) if provider.keys.is_none() && !self.keys_were_fetched => {
                self.keys_were_fetched = true;
                provider.fetch_keys(ctx);
                Ok(())
            }
            Err(SelectError::Unknown)
                if awaits_document(ctx, provider, &mut self.document_was_requested) =>
            {
                Ok(())
            }
            Err(SelectError::Unknown) if !self.keys_were_fetched => {
                self.keys_were_fetched = true;
                provider.fetch_keys(ctx);
                Ok(())
            }
            Err(error) => Err(match &provider.keys {
                Some(keys) => keys.explain(unverified.algorithm(), unverified.kid(), error),
                None => Error::new(
                    Code::IdTokenInvalid,
                    msg!("the provider's keys are missing"),
                ),
            }),
        }
    }
}

/// The verification of a refresh's tokens.
pub(super) struct Verification {
    pub(super) tokens: Box<TokenSet>,
    /// The time at which the tokens were requested.
    pub(super) requested: Instant,
    evidence: Evidence,
    signature: SignatureCheck,
}

/// The next step of a verification.
pub(super) enum Next {
    /// Wait for the host's check of the signature, or for keys.
    Wait,
    /// Conclude at once, because there is no signature.
    Conclude,
}

impl Verification {
    pub(super) fn awaits(&self, op: OpId) -> bool {
        self.signature.awaits(op)
    }

    pub(super) const fn awaits_keys(&self) -> bool {
        self.signature.awaits_keys()
    }

    /// Creates the verification of `tokens`, which were requested at the time `requested`.
    pub(super) fn new(tokens: Box<TokenSet>, requested: Instant, evidence: Evidence) -> Self {
        Self {
            tokens,
            requested,
            evidence,
            signature: SignatureCheck::default(),
        }
    }

    /// Checks the claims. `valid` is the result of the signature check. Returns the tokens even if the ID token is
    /// rejected.
    #[expect(clippy::boxed_local, reason = "moving a box is less code")]
    pub(super) fn conclude(
        self: Box<Self>,
        ctx: &Context,
        valid: bool,
        occasion: Occasion<'_>,
    ) -> (Box<TokenSet>, core::result::Result<Identity, Rejected>) {
        let (flow, now) = (&ctx.config.flow, ctx.provider_seconds());
        let user = self.evidence.user(flow, valid, now, &self.tokens, occasion);
        (self.tokens, user)
    }

    /// Begins to check the signature, if there is one.
    ///
    /// # Errors
    /// See [`SignatureCheck::begin`].
    pub(super) fn advance(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        purpose: Purpose,
    ) -> Result<Next> {
        match &self.evidence {
            Evidence::IdToken(id_token) => {
                self.signature.begin(ctx, provider, id_token, purpose)?;
                Ok(Next::Wait)
            }
            Evidence::Members => Ok(Next::Conclude),
        }
    }
}

/// Returns true if the pinned address of the keys may be older than the ID token. The keys are then fetched when the
/// provider's document has arrived, or could not be fetched. `was_requested` is true if the document was requested before
/// for this ID token.
fn awaits_document(ctx: &mut Context, provider: &Provider, was_requested: &mut bool) -> bool {
    if !provider.pin.is_in_use() {
        return false;
    }
    if !core::mem::replace(was_requested, true) {
        provider.fetch_metadata(ctx);
    }
    ctx.is_in_flight(Purpose::Metadata)
}

/// Returns the evidence of the user in `tokens`, which is not verified yet. Returns an error if the ID token is missing or
/// its header is not acceptable.
pub(super) fn evidence(ctx: &Context, provider: &Provider, tokens: &TokenSet) -> Result<Evidence> {
    Evidence::of(&ctx.config.flow, provider.metadata.as_deref(), tokens)
}
