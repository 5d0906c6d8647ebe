//! The evidence for who the user is, in a token response: an ID token or, without OpenID Connect, members of the response.

use super::{named, view};
use crate::base::error::Result;
use crate::config::Flow;
use crate::oauth::id_token::{Expected, Occasion, Rejected, Unverified};
use crate::oauth::identity::Identity;
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::TokenSet;

/// The part of a response that says who the user is.
#[derive(Debug)]
pub enum Evidence {
    /// An ID token whose signature has to be checked.
    IdToken(Unverified),
    /// Members of the response, or of the profile. These need no signature, because they come directly from the server.
    Members,
}

impl Evidence {
    /// Finds the evidence in `tokens`. An ID token is not verified yet.
    ///
    /// # Errors
    /// If the ID token is missing, or its header is not acceptable.
    pub fn of(flow: &Flow, metadata: Option<&Metadata>, tokens: &TokenSet) -> Result<Self> {
        if !flow.has_openid() {
            return Ok(Self::Members);
        }
        let Some(id_token) = &tokens.identity else {
            return Err(tokens.no_id_token());
        };
        let allowed = match (&flow.id_token_alg, metadata) {
            (Some(algorithm), _) => core::slice::from_ref(algorithm),
            (None, Some(metadata)) => metadata.id_token_signing_algorithms.as_slice(),
            (None, None) => &[],
        };
        Unverified::parse(id_token.expose(), allowed).map(Self::IdToken)
    }

    /// Checks the evidence, and returns the user. `tokens` are those of the same response, and `valid` is the result of the
    /// check of the ID token's signature.
    ///
    /// # Errors
    /// If the signature or a claim is not valid, or if pages would see a token in a claim.
    pub fn user(
        self,
        flow: &Flow,
        valid: bool,
        now_seconds: u64,
        tokens: &TokenSet,
        occasion: Occasion<'_>,
    ) -> core::result::Result<Identity, Rejected> {
        match self {
            Self::IdToken(unverified) => {
                let expected = Expected {
                    issuer: &flow.issuer,
                    client_id: &flow.client_id,
                    trusted_audiences: &flow.trusted_audiences,
                    same_claims: &flow.same_claims,
                    now_seconds,
                    tolerance_seconds: flow.clock_tolerance.as_secs(),
                    access_token: &tokens.access_token,
                    occasion,
                };
                let user = unverified.signature_checked(valid, &expected)?;
                view::without_tokens(user, &flow.claims, tokens)
            }
            Self::Members => {
                let claims = tokens.identity.clone().unwrap_or_default();
                match flow.wanted_tokens().members {
                    Some(members) => named::user(members, &claims, tokens, &occasion),
                    None => Err(tokens.no_id_token().into()),
                }
            }
        }
    }
}
