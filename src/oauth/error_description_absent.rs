//! A stand-in for the descriptions of errors, which need the Cargo feature `extended`.

use crate::base::http::Outcome;
use crate::prelude::*;

/// True if this build logs descriptions.
pub(crate) const IS_LOGGED: bool = false;

/// A description that this build does not read.
#[derive(Debug, Default)]
pub(crate) struct Description;

impl Description {
    pub(crate) const fn of_parameters(_: &[(String, String)]) -> Self {
        Self
    }

    pub(crate) const fn add(&mut self, _: &str) {}

    pub(crate) const fn read(&mut self, _: &Outcome) {}

    pub(crate) const fn quoted(&self) -> Option<String> {
        None
    }
}
