//! An ID token on its way to being believed: its key is found, the host verifies the signature, its
//! claims are checked.
//!
//! A key that is not known may be new, so the keys are fetched again, once a token.

use crate::base::clock::Instant;
use crate::base::error::{Code, Error, Result};
use crate::oauth::id_token::{Expected, IdToken, Occasion, Rejected, Unverified};
use crate::oauth::jwks::SelectError;
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;
use crate::vault::{OpId, Output, Purpose, Vault};

/// Tokens whose ID token is being verified.
pub(super) struct Verification {
    pub(super) tokens: Box<TokenSet>,
    /// When they were asked for.
    pub(super) requested: Instant,
    unverified: Unverified,
    /// For which signature check it waits; none while it waits for keys.
    check: Option<OpId>,
    keys_were_fetched: bool,
}

impl Verification {
    pub(super) const fn awaits(&self, op: OpId) -> bool {
        matches!(self.check, Some(check) if check == op)
    }

    pub(super) const fn awaits_keys(&self) -> bool {
        self.check.is_none()
    }

    /// Begins to verify the ID token among `tokens`, which was asked for at `requested`.
    pub(super) const fn new(
        tokens: Box<TokenSet>,
        requested: Instant,
        unverified: Unverified,
    ) -> Self {
        Self {
            tokens,
            requested,
            unverified,
            check: None,
            keys_were_fetched: false,
        }
    }

    /// Checks the claims, the signature having been checked. The tokens are given back either way.
    #[expect(clippy::boxed_local, reason = "moving a box is less code")]
    pub(super) fn conclude(
        self: Box<Self>,
        vault: &Vault,
        valid: bool,
        occasion: Occasion<'_>,
    ) -> (Box<TokenSet>, core::result::Result<IdToken, Rejected>) {
        let expected = Expected {
            issuer: &vault.config.issuer,
            client_id: &vault.config.client_id,
            #[cfg(feature = "extended")]
            trusted_audiences: &vault.config.trusted_audiences,
            now_seconds: vault.provider_seconds(),
            tolerance_seconds: vault.config.clock_tolerance.as_secs(),
            access_token: &self.tokens.access_token,
            occasion,
        };
        let verdict = self.unverified.signature_checked(valid, &expected);
        (self.tokens, verdict)
    }
}

impl Vault {
    /// The ID token among `tokens`, if its header is acceptable.
    pub(super) fn unverified(&self, tokens: &TokenSet) -> Result<Unverified> {
        let Some(id_token) = &tokens.id_token else {
            let message = msg!("the token endpoint answered without an ID token");
            return Err(Error::new(Code::TokenResponseInvalid, message));
        };
        let allowed = match &self.provider.metadata {
            Some(metadata) => metadata.id_token_signing_algorithms.as_slice(),
            None => &[],
        };
        #[cfg(feature = "extended")]
        let allowed = match &self.config.id_token_alg {
            Some(alg) => core::slice::from_ref(alg),
            None => allowed,
        };
        Unverified::parse(id_token.expose(), allowed)
    }

    /// Takes the next step: asks for the signature's check, or for keys.
    pub(super) fn advance_verification(
        &mut self,
        verification: &mut Verification,
        purpose: Purpose,
    ) -> Result<()> {
        let unverified = &verification.unverified;
        let selected = match &self.provider.keys {
            Some(keys) => keys.select(unverified.algorithm(), unverified.kid()),
            None => Err(SelectError::Unknown),
        };
        match selected {
            Ok(key) => {
                let jwk = key.public_json().into();
                let op = self.begin_operation(purpose, None);
                verification.check = Some(op);
                self.outputs.push(Output::Verify {
                    op,
                    algorithm: unverified.algorithm(),
                    jwk,
                    signing_input: unverified.signing_input().into(),
                    signature: unverified.signature().to_vec(),
                });
                Ok(())
            }
            Err(SelectError::Unknown) if !verification.keys_were_fetched => {
                verification.keys_were_fetched = true;
                self.fetch_keys();
                Ok(())
            }
            Err(SelectError::Unknown) => Err(Error::new(
                Code::IdTokenInvalid,
                msg!("the ID token is signed with a key that the provider does not publish"),
            )),
            Err(SelectError::Ambiguous) => Err(Error::new(
                Code::IdTokenInvalid,
                msg!("the ID token does not say with which of several keys it is signed"),
            )),
        }
    }
}
