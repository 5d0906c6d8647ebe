//! Exact rules, which decide about one URL before the rules of folders do.

use super::{EgressPolicy, Refusal, Rule, normalized};
use crate::base::error::Code;
use crate::codec::url::Url;

impl EgressPolicy {
    /// Returns true if exact rules decide about `url`.
    pub(super) fn has_exact_rule_for(&self, url: &Url) -> bool {
        let is_it = |rule: &Rule| rule.is_exact && rule.covers(url);
        self.rules.iter().any(is_it)
    }

    /// Refuses a URL that a server may read as the URL of an exact rule, but that is written in another way. Otherwise the
    /// rule of a folder would decide about it.
    pub(super) fn refuse_other_spelling(&self, url: &Url) -> core::result::Result<(), Refusal> {
        let read = normalized(url);
        let is_other =
            |rule: &Rule| rule.is_exact && !rule.covers(url) && normalized(&rule.url) == read;
        if self.rules.iter().any(is_other) {
            let why = msg!("the URL is another spelling of the URL of an exact rule");
            return Err((Code::UrlNotAllowed, why));
        }
        Ok(())
    }
}
