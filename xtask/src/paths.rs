//! Paths relative to the repository's root, independent of the working directory.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The environment variable that names another root, such as a copy of the sources that is built for comparison.
pub(crate) const ROOT: &str = "STRONGROOM_ROOT";

/// The members of the workspace that native tests need. A copy of the workspace that is built for tests has no others.
pub(crate) const TESTED: [&str; 6] = [
    "src/edge",
    "src/rules",
    "src/vault",
    "tests",
    "tests/kit",
    "tests/kit/isolates",
];

/// Folders whose files are installed or built.
const BUILT: [&str; 6] = [
    "node_modules",
    "target",
    ".git",
    "dist",
    "glue",
    "generated",
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

/// Returns the files below a folder, in order, without those that are installed or built. The paths are relative to
/// `base`, as is the folder.
pub(crate) fn files_below(base: &Path, folder: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(base.join(folder)).with_context(|| folder.to_owned())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let path = [folder, &name].join("/");
        let path = path.trim_start_matches('/');
        if !base.join(path).is_dir() {
            files.push(path.to_owned());
        } else if !BUILT.contains(&&*name) {
            files.extend(files_below(base, path)?);
        }
    }
    files.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
    Ok(files)
}

/// Returns the files of the members of [`TESTED`] outside `src`, and the files that their manifests name.
pub(crate) fn files_of_tests() -> Result<Vec<String>> {
    let data = ["tests/hostile/seeds", "tests/providers", "tests/vectors"];
    let mut files = files_below(root(), "tests")?;
    files.retain(|file| {
        file.ends_with(".rs")
            || file.ends_with("/Cargo.toml")
            || data.iter().any(|folder| file.starts_with(folder))
    });
    files.push("benches/native.rs".to_owned());
    Ok(files)
}

/// Writes a file if its content has changed. Cargo compares modification times, so an unchanged file must keep its
/// time.
pub(crate) fn write_if_changed(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text).with_context(|| format!("{} could not be written", file.display()))
}
