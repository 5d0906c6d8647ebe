//! Verification of the provider's signed tokens.

use rules::prelude::*;

use crate::io::{Effect, Reply};
use crate::provider::documents::{self, Sender};
use crate::session::Session;
use crate::task::Task;
use rules::base::error::{Code, Error, Result};
use rules::oauth::id_token::{self, Occasion, Rejected, Unverified};
use rules::oauth::identity::Identity;
use rules::oauth::jwks::Algorithm;
use rules::oauth::token_endpoint::TokenSet;
use rules::session::evidence::Evidence;

/// Returns true if an ID token is signed with the provider's key. Remembers the token's algorithm then.
pub(crate) async fn check_id_token(task: &Task, id_token: &Unverified) -> Result<bool> {
    let algorithm = id_token.algorithm();
    let jwk = documents::key(task, algorithm, id_token.kid(), Sender::TokenEndpoint).await?;
    let (input, signature) = (id_token.signing_input(), id_token.signature());
    let is_valid = verify_signature(task, algorithm, jwk, input, signature).await;
    if is_valid {
        documents::set_id_token_algorithm(task, Some(algorithm));
    }
    Ok(is_valid)
}

/// Verifies a signature with a public key.
pub(crate) async fn verify_signature(
    task: &Task,
    algorithm: Algorithm,
    jwk: String,
    signing_input: &str,
    signature: &[u8],
) -> bool {
    let effect = Effect::Verify {
        algorithm,
        jwk,
        signing_input: signing_input.to_owned(),
        signature: signature.to_vec(),
    };
    matches!(task.perform(effect).await, Reply::Verified(true))
}

/// The reason for which the ID token of a refresh ends the session.
pub(crate) enum Mismatch {
    /// It belongs to another user or issuer than the ID token of the session.
    OtherUser,
    /// A claim has changed that must not.
    OtherClaims(Error),
}

/// Verifies the ID token of a refresh. An absent or invalid ID token does not count as another user's (OIDC Core 12.2).
pub(crate) async fn verify_refreshed(
    task: &Task,
    session: &Session,
    tokens: &TokenSet,
) -> core::result::Result<Option<Identity>, Mismatch> {
    let Some(original) = session.user().filter(|_| tokens.identity.is_some()) else {
        return Ok(None);
    };
    match user_of(task, tokens, &original).await {
        Ok(user) => {
            if let Some(warning) = id_token::session_expiry_warning(&user) {
                task.fault(&warning);
            }
            // A response without a usable access token changes nothing that pages see.
            Ok(tokens.has_access_token().then_some(user))
        }
        Err(Rejected::OtherUser(_)) => Err(Mismatch::OtherUser),
        Err(Rejected::OtherClaims(error)) => Err(Mismatch::OtherClaims(error)),
        Err(Rejected::Invalid(error)) => {
            task.fault(&error);
            Ok(None)
        }
    }
}

async fn user_of(
    task: &Task,
    tokens: &TokenSet,
    original: &Identity,
) -> core::result::Result<Identity, Rejected> {
    let flow = &task.config().flow;
    // Without an ID token, nothing must delay the comparison of the users.
    let metadata = match flow.has_openid() {
        true => Some(documents::metadata(task).await?),
        false => None,
    };
    let evidence = Evidence::of(flow, metadata.as_deref(), tokens)?;
    let is_valid = match &evidence {
        Evidence::IdToken(id_token) => check_id_token(task, id_token).await?,
        Evidence::Members => true,
    };
    let now = task.now().wall / 1000;
    evidence.user(flow, is_valid, now, tokens, Occasion::Refresh { original })
}

/// Verifies the signature of a logout token. The token's claims remain unchecked.
///
/// The algorithm must be that of the client's ID tokens (Back-Channel Logout 2.6): the configured one, or else that of
/// the ID token that this isolate has verified last, or else any in the metadata. A token with another algorithm makes
/// the isolate fetch metadata and keys again. The remembered algorithm no longer counts if the provider has withdrawn
/// it. Otherwise the token is refused until an ID token with its algorithm has been verified, which the new metadata
/// and keys allow.
pub(crate) async fn check_signature(task: &Task, jwt: &rules::oauth::jwt::Jwt) -> Result<()> {
    let found = Algorithm::from_name(jwt.alg());
    let (metadata, only) = loop {
        let metadata = documents::metadata_for(task, Sender::Unknown).await?;
        let mut only = task.config().flow.id_token_alg;
        if only.is_none()
            && let Some(remembered) = documents::id_token_algorithm(task)
        {
            only = Some(remembered);
            if found != only && documents::expire(task) {
                continue;
            }
            if !metadata.id_token_signing_algorithms.contains(&remembered) {
                documents::set_id_token_algorithm(task, None);
                only = None;
            }
        }
        break (metadata, only);
    };
    let Some(algorithm) = found.filter(|found| match only {
        Some(only) => only == *found,
        None => metadata.id_token_signing_algorithms.contains(found),
    }) else {
        let message = msg!("its alg is not that of this provider's ID tokens");
        return Err(Error::new(Code::LogoutTokenInvalid, message));
    };
    let key = documents::key(task, algorithm, jwt.kid(), Sender::Unknown).await;
    // Anybody can send such a token, so the log does not quote its kid.
    let jwk = key.map_err(|error| match error.code() {
        Code::IdTokenInvalid => Error::new(
            Code::LogoutTokenInvalid,
            msg!("the provider's key set has no key for its alg and kid"),
        ),
        _ => error,
    })?;
    if verify_signature(task, algorithm, jwk, jwt.signing_input(), jwt.signature()).await {
        Ok(())
    } else {
        Err(Error::new(
            Code::LogoutTokenInvalid,
            msg!("its signature does not verify with the issuer's key"),
        ))
    }
}
