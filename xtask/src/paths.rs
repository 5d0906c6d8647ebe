//! Where things are: everything is relative to the repository's root, wherever cargo was called.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Names another root: that of a copy, which is built to be compared.
pub(crate) const ROOT: &str = "STRONGROOM_ROOT";

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    static OTHER: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(ROOT).map(PathBuf::from));
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = OTHER.as_deref().or_else(own);
    root.unwrap_or_else(|| Path::new("."))
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
