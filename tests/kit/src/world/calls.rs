//! The requests of pages to APIs, and the calls that the vault makes for these requests.

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
    /// The user of the session at the time of each request.
    pub(super) asked_as: BTreeMap<Request, Option<String>>,
    /// The request that the vault is handling now, if the request counts as user activity.
    pub(super) touching: Option<Request>,
    /// Calls that received a 401.
    pub(super) refused: BTreeSet<CallId>,
    pub(super) last: CallId,
}
