//! Builds the documentation site from the documents, and the reference from the package's types.

use crate::package;
use crate::paths::{at, files_below, root, target};
use crate::process::{node, program};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use anyhow::Result;
use std::fs;

/// The folder of the reference, below Cargo's target directory.
const REFERENCE: &str = "reference";

/// Builds the site into `target/docs/site`, with the static demo and the playground, and with the reference if it has been
/// written. The script installs `VitePress` on first use. The headers of demo and playground name the `origin` of the
/// site: by default localhost. With an `origin`, the site also has `sitemap.xml` and canonical links.
pub(crate) fn build(origin: Option<&str>) -> Result<()> {
    package::build()?;
    if let Some(origin) = origin {
        node(&["www/static/write.mjs", origin]).run()?;
    }
    // The installed packages are in a folder of `www/docs`.
    let mut inputs = files_below(root(), "www/docs")?;
    inputs.extend(documents_in_root()?);
    inputs.extend(
        [
            "docs",
            "www/icon.svg",
            "pkg/assistants.mjs",
            "pkg/package.json",
        ]
        .map(str::to_owned),
    );
    let built = [REFERENCE, "static/demo", "static/playground"].map(target);
    let inputs: Vec<_> = inputs.iter().map(|input| at(input)).chain(built).collect();
    let outputs = [target("docs/site")];
    // Links to files of the repository name the release, if there is one.
    let release = program("git").args(["tag", "--points-at", "HEAD"]).read();
    let options = [&release.unwrap_or_default(), origin.unwrap_or_default()];
    let stamp = Stamp::of("docs", &inputs, &options)?;
    if stamp.is_fresh(&outputs) {
        unchanged("documents: VitePress");
        return Ok(());
    }
    let said = step("documents: VitePress, about 20 s", Output::Quiet, || {
        let arguments: Vec<_> = ["www/docs/build.mjs"].into_iter().chain(origin).collect();
        node(&arguments).read()
    })?;
    if let Some(line) = said.lines().last() {
        println!("    {}", line.trim());
    }
    stamp.write(&outputs)
}

/// Writes the reference of the package into `target/reference`, unless its inputs have not changed.
pub(crate) fn reference() -> Result<()> {
    package::build()?;
    let mut inputs = files_below(root(), "pkg/reference")?;
    inputs.extend(["pkg/dist", "pkg/package.json"].map(str::to_owned));
    let inputs: Vec<_> = inputs.iter().map(|input| at(input)).collect();
    let outputs = [target(REFERENCE)];
    let stamp = Stamp::of("reference", &inputs, &[])?;
    if stamp.is_fresh(&outputs) {
        unchanged("reference: TypeDoc");
        return Ok(());
    }
    step("reference: TypeDoc", Output::Loud, || {
        node(&["pkg/reference/write.mjs"]).run()
    })?;
    stamp.write(&outputs)
}

/// Returns the names of the Markdown files in the root.
fn documents_in_root() -> Result<Vec<String>> {
    let mut names = fs::read_dir(root())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.ends_with(".md"));
    names.sort();
    Ok(names)
}
