//! Validation of what a token response says about the user.
//!
//! With OpenID Connect, the response has an ID token. The vault selects the key, the host verifies the signature with
//! this key, and the vault then checks the claims.
//!
//! If the provider's known keys do not include the token's key, the key may be new. The keys are then fetched again, at
//! most once for each token.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output};
use crate::provider::Provider;
use rules::base::clock::Instant;
use rules::base::error::{Code, Error, Result};
use rules::oauth::id_token::{Expected, Occasion, Rejected, Unverified};
use rules::oauth::identity::Identity;
use rules::oauth::jwks::SelectError;
use rules::oauth::token_endpoint::TokenSet;
use rules::prelude::*;
use rules::session::{named, view};

/// The tokens of a response whose ID token is being verified.
pub(super) struct Verification {
    pub(super) tokens: Box<TokenSet>,
    /// The time at which the tokens were requested.
    pub(super) requested: Instant,
    evidence: Evidence,
    /// The check of the signature, or the request for the profile, that is in flight; `None` while the ID token waits for
    /// keys.
    check: Option<OpId>,
    keys_were_fetched: bool,
    /// True if the provider's document was requested because the key is unknown with pinned metadata.
    document_was_requested: bool,
}

/// The part of a response that says who the user is.
pub(super) enum Evidence {
    /// An ID token whose signature has to be checked.
    IdToken(Unverified),
    /// Members of the response, or of the profile. The responses come directly from their servers, so nothing is signed.
    Members,
}

/// The next step of a verification.
pub(super) enum Next {
    /// Wait for the host's check of the signature, or for keys.
    Wait,
    /// Conclude at once, since there is no signature.
    Conclude,
}

impl Verification {
    pub(super) fn awaits(&self, op: OpId) -> bool {
        matches!(self.check, Some(check) if check == op)
    }

    pub(super) const fn awaits_keys(&self) -> bool {
        self.check.is_none()
    }

    /// Creates the verification of what `tokens` say about the user. `requested` is the time at which the tokens were
    /// requested.
    pub(super) const fn new(tokens: Box<TokenSet>, requested: Instant, evidence: Evidence) -> Self {
        Self {
            tokens,
            requested,
            evidence,
            check: None,
            keys_were_fetched: false,
            document_was_requested: false,
        }
    }

    /// Returns true if the profile address must say who the user is, and has not yet.
    pub(super) fn needs_profile(&self, ctx: &Context) -> bool {
        ctx.config.flow.profile().is_some() && self.tokens.identity.is_none()
    }

    /// Begins to wait for the profile that the request `op` asks for.
    pub(super) const fn await_profile(&mut self, op: OpId) {
        self.check = Some(op);
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
        let unverified = match self.evidence {
            Evidence::IdToken(unverified) => unverified,
            Evidence::Members => {
                let claims = self.tokens.identity.clone().unwrap_or_default();
                let user = match ctx.config.flow.wanted_tokens().members {
                    Some(members) => named::user(members, &claims, &self.tokens, &occasion),
                    None => Err(self.tokens.no_id_token().into()),
                };
                return (self.tokens, user);
            }
        };
        let expected = Expected {
            issuer: &ctx.config.flow.issuer,
            client_id: &ctx.config.flow.client_id,
            trusted_audiences: &ctx.config.flow.trusted_audiences,
            now_seconds: ctx.provider_seconds(),
            tolerance_seconds: ctx.config.flow.clock_tolerance.as_secs(),
            access_token: &self.tokens.access_token,
            occasion,
        };
        let verdict = unverified
            .signature_checked(valid, &expected)
            .and_then(|user| view::without_tokens(user, &ctx.config.flow.claims, &self.tokens));
        (self.tokens, verdict)
    }

    /// Begins to check the signature if the key is known. Otherwise fetches the provider's keys.
    ///
    /// # Errors
    /// [`Code::IdTokenInvalid`] if the key is unknown although the keys were fetched for this token, or if several keys
    /// match.
    pub(super) fn advance(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        purpose: Purpose,
    ) -> Result<Next> {
        let unverified = match &self.evidence {
            Evidence::IdToken(unverified) => unverified,
            Evidence::Members => return Ok(Next::Conclude),
        };
        let selected = match &provider.keys {
            Some(keys) => keys.select(unverified.algorithm(), unverified.kid()),
            None => Err(SelectError::Unknown),
        };
        match selected {
            Ok(key) => {
                let jwk = key.public_json().into();
                let op = ctx.begin_operation(purpose, None);
                self.check = Some(op);
                ctx.outputs.push(Output::Verify {
                    op,
                    algorithm: unverified.algorithm(),
                    jwk,
                    signing_input: unverified.signing_input().into(),
                    signature: unverified.signature().to_vec(),
                });
                Ok(Next::Wait)
            }
            Err(SelectError::Unknown) if provider.keys.is_none() && !self.keys_were_fetched => {
                self.keys_were_fetched = true;
                provider.fetch_keys(ctx);
                Ok(Next::Wait)
            }
            Err(SelectError::Unknown)
                if awaits_document(ctx, provider, &mut self.document_was_requested) =>
            {
                Ok(Next::Wait)
            }
            Err(SelectError::Unknown) if !self.keys_were_fetched => {
                self.keys_were_fetched = true;
                provider.fetch_keys(ctx);
                Ok(Next::Wait)
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

/// Returns what `tokens` say about the user, which is not verified yet. Returns an error if the ID token is missing or its
/// header is not acceptable.
pub(super) fn evidence(ctx: &Context, provider: &Provider, tokens: &TokenSet) -> Result<Evidence> {
    if !ctx.config.flow.has_openid() {
        return Ok(Evidence::Members);
    }
    let Some(id_token) = &tokens.identity else {
        return Err(tokens.no_id_token());
    };
    let allowed = match (&ctx.config.flow.id_token_alg, &provider.metadata) {
        (Some(alg), _) => core::slice::from_ref(alg),
        (None, Some(metadata)) => metadata.id_token_signing_algorithms.as_slice(),
        (None, None) => &[],
    };
    Unverified::parse(id_token.expose(), allowed).map(Evidence::IdToken)
}
