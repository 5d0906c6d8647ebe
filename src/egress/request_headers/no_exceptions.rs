//! Rules without exceptions. Few configurations have any, so they require the Cargo feature `extended`.

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
