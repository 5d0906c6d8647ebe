//! Stand-in for the exceptions of rules. Few configurations use exceptions, so they need the Cargo feature `extended`.

/// The exceptions of a rule. This build has no exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions;

impl Exceptions {
    pub(super) const fn has_allowed(&self, _: &str) -> bool {
        false
    }

    pub(super) const fn has_denied(&self, _: &str) -> bool {
        false
    }
}
