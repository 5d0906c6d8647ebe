//! Where things are: everything is relative to the repository's root, wherever cargo was called.

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or_else(|| Path::new("."))
}

/// `relative`, from the root.
pub(crate) fn at(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Cargo's target directory, with `relative` below it.
pub(crate) fn target(relative: &str) -> PathBuf {
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(directory).join(relative)
}
