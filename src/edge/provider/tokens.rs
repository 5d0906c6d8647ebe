//! Requests that contain a session's refresh token: the refresh and the revocation.

use crate::Secret;
use crate::base::error::Code;
use crate::base::http::Outcome;
use crate::edge::provider::documents;
use crate::edge::provider::dpop;
use crate::edge::provider::requests;
use crate::edge::session::Session;
use crate::edge::task::Task;
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint;

/// Largest number of attempts to revoke a refresh token.
const REVOCATIONS: u32 = 2;

/// Sends a refresh request with a session's refresh token.
pub(in crate::edge) async fn send_refresh(
    task: &Task,
    metadata: &Metadata,
    session: &Session,
) -> Outcome {
    let Some(refresh_token) = &session.refresh_token else {
        return Outcome::Failed;
    };
    let client_id = &task.config().client.id;
    let request =
        token_endpoint::refresh_request(&metadata.token_endpoint, client_id, refresh_token);
    dpop::send_proven(task, request, session.dpop_key.as_ref()).await
}

/// Revokes a session's refresh token: see [`revoke_refresh_token`]. The session is over even if the revocation fails.
pub(in crate::edge) async fn revoke(task: &Task, session: &Session) -> bool {
    revoke_refresh_token(task, session.refresh_token.as_ref()).await
}

/// Revokes a refresh token (RFC 7009), if the provider has an endpoint for revocations. Returns true if the provider has
/// confirmed the revocation.
pub(in crate::edge) async fn revoke_refresh_token(
    task: &Task,
    refresh_token: Option<&Secret>,
) -> bool {
    let Some(refresh_token) = refresh_token else {
        return false;
    };
    let Ok(metadata) = documents::metadata(task).await else {
        return false;
    };
    let Some(endpoint) = &metadata.revocation_endpoint else {
        task.fault_of(
            Code::Unsupported,
            &[msg!(
                "a refresh token was not revoked, because the provider announces no revocation_endpoint; if it has one, name it in `metadata`"
            )],
        );
        return false;
    };
    for _ in 0..REVOCATIONS {
        let client_id = &task.config().client.id;
        let mut request = token_endpoint::revocation_request(endpoint, client_id, refresh_token);
        requests::name_client_once(task, &mut request);
        match requests::send_as_client(task, request, None).await {
            Outcome::Reply(reply) if reply.status == 200 => return true,
            Outcome::Reply(reply) if reply.status < 500 => break,
            _ => {}
        }
    }
    not_revoked(task, msg!("it refused or failed"))
}

fn not_revoked(task: &Task, why: &str) -> bool {
    task.fault_of(
        Code::ProviderUnavailable,
        &[msg!("the provider did not revoke a refresh token: "), why],
    );
    false
}
