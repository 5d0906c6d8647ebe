//! A login whose request is pushed (RFC 9126): the provider gets the parameters before the page is told where to go.

use super::login::{Login, Stage};
use super::{OpId, Purpose, Vault};
use crate::authorize::Begun;
use crate::error::{Code, Error, Result};
use crate::http::Outcome;
use crate::prelude::*;
use crate::pushed;

impl Vault {
    /// Pushes the request of a login if the configuration says so, or the provider insists, and begins the login
    /// with it as it is if not.
    pub(super) fn push_or_begin_login(&mut self, mut login: Box<Login>, begun: Begun) {
        match self.pushed_endpoint() {
            Ok(None) => self.begin_login(login, begun),
            Ok(Some(endpoint)) => {
                let op = self.send(Purpose::Push, pushed::request(&endpoint, &begun));
                login.stage = Stage::Pushing(op, Box::new(begun));
                self.logins.put(login);
            }
            Err(error) => self.post_error(login.port, login.id, &error),
        }
    }

    /// Where to push it to.
    ///
    /// # Errors
    /// [`Code::Unsupported`] if it should be pushed and cannot be.
    fn pushed_endpoint(&self) -> Result<Option<String>> {
        let Some(metadata) = &self.provider.metadata else {
            return Ok(None);
        };
        if !self.config.flows.pushes && !metadata.require_pushed_authorization_requests {
            return Ok(None);
        }
        let endpoint = metadata.pushed_authorization_request_endpoint.clone();
        endpoint.map(Some).ok_or_else(|| {
            Error::new(
                Code::Unsupported,
                words!("the provider has no pushed_authorization_request_endpoint"),
            )
        })
    }

    pub(super) fn login_pushed(&mut self, op: OpId, outcome: &Outcome) {
        let is_it = |login: &Login| matches!(login.stage, Stage::Pushing(o, _) if o == op);
        let Some(mut login) = self.logins.take(is_it) else {
            return;
        };
        let stage = core::mem::replace(&mut login.stage, Stage::NeedsMetadata);
        let (Stage::Pushing(_, begun), Some(metadata)) = (stage, &self.provider.metadata) else {
            return;
        };
        match pushed::address(outcome, metadata, &self.config.client_id, &begun) {
            Ok(url) => self.begin_login(login, Begun { url, ..*begun }),
            Err(error) => self.post_error(login.port, login.id, &error),
        }
    }
}
