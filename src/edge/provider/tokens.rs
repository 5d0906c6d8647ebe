//! Requests that contain a session's refresh token: the refresh and the revocation.

use crate::isolate::Seldom;
use crate::provider::documents;
use crate::provider::dpop;
use crate::provider::requests;
use crate::session::Session;
use crate::task::Task;
use rules::Secret;
use rules::base::error::{Code, Error};
use rules::base::http::Outcome;
use rules::oauth::metadata::Metadata;
use rules::oauth::token_endpoint;
use rules::prelude::*;

/// Largest number of attempts to revoke a refresh token.
const REVOCATIONS: u32 = 2;

/// Sends a refresh request with a session's refresh token.
pub(crate) async fn send_refresh(task: &Task, metadata: &Metadata, session: &Session) -> Outcome {
    let Some(refresh_token) = &session.refresh_token else {
        return Outcome::Failed;
    };
    let flow = &task.config().flow;
    let request = token_endpoint::refresh_request(
        &metadata.token_endpoint,
        &flow.client_id,
        refresh_token,
        &flow.target,
    );
    dpop::send_proven(task, request, session.dpop_key.as_ref()).await
}

/// Revokes a session's refresh token: see [`revoke_refresh_token`]. The session is over even if the revocation fails.
pub(crate) async fn revoke(task: &Task, session: &Session) -> bool {
    revoke_refresh_token(task, session.refresh_token.as_ref()).await
}

/// Revokes a refresh token (RFC 7009), if the provider has an endpoint for revocations. Returns true if the provider has
/// confirmed the revocation.
pub(crate) async fn revoke_refresh_token(task: &Task, refresh_token: Option<&Secret>) -> bool {
    let Some(refresh_token) = refresh_token else {
        return false;
    };
    let Ok(metadata) = documents::metadata(task).await else {
        return false;
    };
    let Some(endpoint) = &metadata.revocation_endpoint else {
        let why = msg!(
            "a refresh token was not revoked, because the provider announces no revocation_endpoint; if it has one, name it in `metadata`"
        );
        task.error_seldom(Seldom::Revocation, &Error::new(Code::Unsupported, why));
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
    let message = [msg!("the provider did not revoke a refresh token: "), why];
    task.fault_seldom(Seldom::Revocation, &message.concat());
    false
}
