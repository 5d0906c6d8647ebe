//! Requests of pages for APIs, and the vault's calls for them.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Request;
use strongroom::vault::CallId;

/// The calls of all vaults.
#[derive(Default)]
pub(super) struct Calls {
    /// The request of a page behind each call.
    pub(super) requests: BTreeMap<CallId, Request>,
    /// The URLs that pages requested.
    pub(super) urls: BTreeMap<Request, String>,
    /// The user of the session when pages made their requests.
    pub(super) asked_as: BTreeMap<Request, Option<String>>,
    /// A call that counts as user activity and is being handed to the vault.
    pub(super) touching: Option<Request>,
    /// Calls that received a 401.
    pub(super) refused: BTreeSet<CallId>,
    pub(super) last: CallId,
}
