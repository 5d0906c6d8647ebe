//! Pushed authorization requests (RFC 9126). The vault sends the parameters of a login to the provider before the page
//! gets the URL to navigate to.
//!
//! With `par: 'auto'`, a provider that announces the endpoint may still not accept requests from this client: it may
//! require client authentication, or its CORS headers may not allow this origin. In that case the vault stops pushing
//! requests and warns once, unless the provider's metadata requires pushed requests. After any other error the login
//! fails. A fallback would help an attacker: a script of the page can change a request that is not pushed.

use crate::config::Pushing;
use crate::context::{Context, Purpose};
use crate::io::OpId;
use crate::login::in_flight::{Login, LoginStage, Logins};
use crate::provider::{Provider, is_reachable};
use rules::base::error::{Code, Error};
use rules::base::http::Outcome;
use rules::login::authorization_request::AuthorizationRequest;
use rules::login::pushed_authorization::{self, PushOutcome};
use rules::oauth::error_description;
use rules::prelude::*;

impl Logins {
    /// Pushes the authorization request of a login, or continues the login without a push.
    pub(super) fn push_or_begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        mut login: Box<Login>,
        begun: Box<AuthorizationRequest>,
    ) {
        let Some(metadata) = &provider.metadata else {
            return;
        };
        let endpoint = metadata.pushed_authorization_request_endpoint.as_deref();
        let wants = match ctx.config.pushing {
            Pushing::Auto => endpoint.is_some() && !self.is_pushing_refused,
            pushing => pushing == Pushing::Always,
        };
        let is_required = metadata.require_pushed_authorization_requests;
        if !wants && !is_required {
            let url = begun.url(metadata);
            return self.navigate_or_store(ctx, login, begun, url);
        }
        if let Some(endpoint) = endpoint.filter(|_| ctx.config.pushing != Pushing::Never) {
            let op = ctx.send(
                Purpose::Push,
                pushed_authorization::request(endpoint, &begun),
            );
            login.stage = LoginStage::Pushing(op, begun);
            return self.put(login);
        }
        let why = if ctx.config.pushing == Pushing::Never {
            msg!(
                "the provider requires pushed authorization requests, but par is false in the worker's file"
            )
        } else if is_required {
            msg!(
                "the provider's metadata requires pushed authorization requests, but has no pushed_authorization_request_endpoint"
            )
        } else {
            msg!(
                "par is true in the worker's file, but the provider has no pushed_authorization_request_endpoint"
            )
        };
        ctx.decline(login.port, login.id, Code::Unsupported, why);
    }

    /// Begins the login of the push `op` again with the metadata that the provider has now. Returns false if no login waits
    /// for this push.
    pub(crate) fn push_again(&mut self, ctx: &mut Context, provider: &Provider, op: OpId) -> bool {
        let is_it = |login: &Login| matches!(login.stage, LoginStage::Pushing(o, _) if o == op);
        let Some(mut login) = self.take(is_it) else {
            return false;
        };
        let stage = core::mem::replace(&mut login.stage, LoginStage::NeedsMetadata);
        if let LoginStage::Pushing(_, begun) = stage {
            self.push_or_begin(ctx, provider, login, begun);
        }
        true
    }

    /// Handles the response to a push, or to the probe that follows a push without a readable response.
    pub(crate) fn pushed(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        op: OpId,
        purpose: Purpose,
        outcome: &Outcome,
    ) {
        let is_it = |login: &Login| matches!(login.stage, LoginStage::Pushing(o, _) if o == op);
        let Some(mut login) = self.take(is_it) else {
            return;
        };
        let stage = core::mem::replace(&mut login.stage, LoginStage::NeedsMetadata);
        let (LoginStage::Pushing(_, begun), Some(metadata)) = (stage, &provider.metadata) else {
            return;
        };
        let pushed = if purpose == Purpose::Push {
            let mut secrets = ctx.secrets();
            secrets.push(&begun.state);
            let description = error_description::of_response(outcome);
            let description = description.and_then(|it| begun.pending.loggable(&it, &secrets));
            ctx.log(description);
            let endpoint = metadata.pushed_authorization_request_endpoint.as_deref();
            // A vault is a public client.
            pushed_authorization::read(outcome, endpoint.unwrap_or_default(), true)
        } else {
            pushed_authorization::after_probe(is_reachable(ctx, outcome))
        };
        let is_required = metadata.require_pushed_authorization_requests;
        let is_optional = ctx.config.pushing == Pushing::Auto;
        let error = match pushed {
            PushOutcome::Accepted(uri) => {
                let url = pushed_authorization::authorization_url(
                    &uri,
                    metadata,
                    &ctx.config.flow.client_id,
                    &begun,
                );
                return self.navigate_or_store(ctx, login, begun, url);
            }
            PushOutcome::Unreadable(_) if is_optional => {
                // Either the provider cannot be reached, or this endpoint's CORS headers do not let this origin read
                // the response. A probe shows which.
                login.stage =
                    LoginStage::Pushing(provider.send_probe(ctx, Purpose::ProbeForLogin), begun);
                return self.put(login);
            }
            PushOutcome::Unsupported(error) if is_optional && is_required => {
                not_accepted(Code::LoginFailed, &error)
            }
            PushOutcome::Unsupported(error) if is_optional => {
                self.is_pushing_refused = true;
                let warning = not_accepted(Code::LoginNotPushed, &error);
                ctx.warn_developer(Some(login.port), &warning);
                // Because of `is_pushing_refused`, this call continues the login without a push.
                return self.push_or_begin(ctx, provider, login, begun);
            }
            PushOutcome::Unsupported(error)
            | PushOutcome::Unreadable(error)
            | PushOutcome::Failed(error) => {
                let redirect_uri = begun.pending.redirect_uri(&ctx.config.redirect_uri);
                pushed_authorization::with_redirect_uri(error, redirect_uri.href())
            }
        };
        ctx.post_error(login.port, login.id, &error);
    }
}

/// Returns an error with this code for a push that the provider did not accept.
fn not_accepted(code: Code, error: &Error) -> Error {
    let message = [
        msg!("the provider announces pushed authorization requests and did not accept one: "),
        error.message(),
    ];
    Error::of(code, &message)
}
