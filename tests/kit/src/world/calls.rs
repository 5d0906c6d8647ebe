//! The requests of pages to APIs, and the calls that the vault makes for these requests.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Request;
use vault::CallId;

/// The calls of all vaults.
#[derive(Default)]
pub(super) struct Calls {
    /// For each call, the request of the page that led to the call.
    pub(super) requests: BTreeMap<CallId, Request>,
    /// The URL of each request.
    pub(super) urls: BTreeMap<Request, String>,
    /// For each request, the user of the session that the page knew at the time of the request.
    pub(super) asked_as: BTreeMap<Request, Option<String>>,
    /// The logouts of pages, each with the family of the session that the vault had.
    pub(super) logouts: BTreeMap<Request, Option<usize>>,
    /// The request that the vault is handling now, if the request counts as user activity.
    pub(super) touching: Option<Request>,
    /// The requests whose calls are activity of the user until their responses begin, each with the family of its
    /// session.
    pub(super) uploads: BTreeMap<Request, Option<usize>>,
    /// Calls that received a 401.
    pub(super) refused: BTreeSet<CallId>,
    /// For each vault, API and method, the token of the last call, if the response was a 401. After a call that cannot be
    /// sent again, the vault takes the next response under the same rule for the judgment of the next token.
    pub(super) refused_token: BTreeMap<(usize, (&'static str, String)), String>,
    pub(super) last: CallId,
}
