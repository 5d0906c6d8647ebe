//! Paths relative to the repository's root, independent of the working directory.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The environment variable that names another root, such as a copy of the sources that is built for comparison.
pub(crate) const ROOT: &str = "STRONGROOM_ROOT";

/// The files and folders of tests and benches that the package's manifest names. A copy of the package needs them,
/// because Cargo refuses a manifest whose targets do not exist.
pub(crate) const TARGETS_OF_THE_MANIFEST: [&str; 6] = [
    "benches/native.rs",
    "tests/kit",
    "tests/simulation",
    "tests/handler",
    "tests/isolates",
    "tests/providers.rs",
];

/// Returns the repository's root.
pub(crate) fn root() -> &'static Path {
    static OTHER: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(ROOT).map(PathBuf::from));
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = OTHER.as_deref().or_else(own);
    root.unwrap_or_else(|| Path::new("."))
}

/// Returns `relative` as a path below the root.
pub(crate) fn at(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Returns `relative` as a path below Cargo's target directory.
pub(crate) fn target(relative: &str) -> PathBuf {
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(directory).join(relative)
}
