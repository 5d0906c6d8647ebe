//! Verification of the provider's signed tokens.

use rules::prelude::*;

use crate::io::{Effect, Reply};
use crate::provider::documents::{self, Sender};
use crate::provider::dpop;
use crate::provider::requests;
use crate::session::Session;
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::oauth::id_token::{self, Expected, Occasion, Rejected, Unverified};
use rules::oauth::identity::Identity;
use rules::oauth::jwks::Algorithm;
use rules::oauth::token_endpoint::TokenSet;
use rules::session::{named, profile, view};

/// Returns the user by the response to a code exchange: verifies its ID token and asks the UserInfo endpoint if
/// configured, or asks the profile address. `key` is the DPoP key of the tokens.
pub(crate) async fn verify_login(
    task: &Task,
    tokens: &TokenSet,
    key: Option<&Secret>,
    occasion: Occasion<'_>,
) -> core::result::Result<Identity, Rejected> {
    let flow = &task.config().flow;
    let user = match flow.profile() {
        None => Some(verify_id_token(task, tokens, occasion).await?),
        Some(_) => None,
    };
    let metadata = documents::metadata(task).await?;
    let Some(address) = profile::address(flow, &metadata)? else {
        return user.ok_or_else(|| tokens.no_id_token().into());
    };
    let send = || {
        let request = profile::request(address.clone(), &tokens.access_token);
        boxed(dpop::send_with_token(
            task,
            request,
            &tokens.access_token,
            key,
        ))
    };
    let outcome = requests::repeated(task, send).await;
    match user {
        Some(user) => Ok(profile::with_user_info(flow, &outcome, tokens, user)?),
        None => {
            let claims = profile::read(flow, &outcome, tokens)?;
            verify_named(task, &claims, tokens, &occasion)
        }
    }
}

/// Returns the user by the members of a response that the configuration names.
fn verify_named(
    task: &Task,
    claims: &Secret,
    tokens: &TokenSet,
    occasion: &Occasion<'_>,
) -> core::result::Result<Identity, Rejected> {
    match task.config().flow.wanted_tokens().members {
        Some(members) => named::user(members, claims, tokens, occasion),
        None => Err(tokens.no_id_token().into()),
    }
}

/// Verifies the ID token of a token response: its signature, and every claim.
async fn verify_id_token(
    task: &Task,
    tokens: &TokenSet,
    occasion: Occasion<'_>,
) -> core::result::Result<Identity, Rejected> {
    if !task.config().flow.has_openid() {
        let claims = tokens.identity.clone().unwrap_or_default();
        return verify_named(task, &claims, tokens, &occasion);
    }
    let Some(id_token) = &tokens.identity else {
        return Err(tokens.no_id_token().into());
    };
    let metadata = documents::metadata(task).await?;
    let allowed = match &task.config().flow.id_token_alg {
        Some(algorithm) => core::slice::from_ref(algorithm),
        None => &metadata.id_token_signing_algorithms,
    };
    let unverified = Unverified::parse(id_token.expose(), allowed)?;
    let algorithm = unverified.algorithm();
    let jwk = documents::key(task, algorithm, unverified.kid(), Sender::TokenEndpoint).await?;
    let is_valid = verify_signature(
        task,
        algorithm,
        jwk,
        unverified.signing_input(),
        unverified.signature(),
    )
    .await;
    let config = &task.config().flow;
    let expected = Expected {
        issuer: &config.issuer,
        client_id: &config.client_id,
        trusted_audiences: &config.trusted_audiences,
        now_seconds: task.now().wall / 1000,
        tolerance_seconds: config.clock_tolerance.as_secs(),
        access_token: &tokens.access_token,
        occasion,
    };
    let user = unverified.signature_checked(is_valid, &expected)?;
    documents::set_id_token_algorithm(task, Some(algorithm));
    view::without_tokens(user, &config.claims, tokens)
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

/// The ID token of a refresh belongs to another user or issuer than the ID token of the session.
pub(crate) struct OtherUser;

/// Verifies the ID token of a refresh. An absent or invalid ID token does not count as another user's (OIDC Core 12.2).
pub(crate) async fn verify_refreshed(
    task: &Task,
    session: &Session,
    tokens: &TokenSet,
) -> core::result::Result<Option<Identity>, OtherUser> {
    let Some(original) = session.user().filter(|_| tokens.identity.is_some()) else {
        return Ok(None);
    };
    let occasion = Occasion::Refresh {
        original: &original,
    };
    match verify_id_token(task, tokens, occasion).await {
        Ok(user) => {
            if let Some(warning) = id_token::session_expiry_warning(&user) {
                task.fault(&warning);
            }
            // A response without a usable access token changes nothing that pages see.
            Ok(tokens.has_access_token().then_some(user))
        }
        Err(Rejected::OtherUser(_)) => Err(OtherUser),
        Err(Rejected::Invalid(error)) => {
            task.fault(&error);
            Ok(None)
        }
    }
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
