//! The deterministic simulation of `tests/simulation`.

use crate::process::{Process, cargo};
use crate::progress::{Output, step};
use anyhow::Result;

/// Builds it and runs so many sessions, from this seed on.
pub(crate) fn run(sessions: Option<u64>, seed: Option<u64>) -> Result<()> {
    step("simulation: build", Output::Quiet, || {
        simulation().args(["--no-run"]).run_quietly()
    })?;
    let mut options = Vec::new();
    for (name, value) in [("--sessions", sessions), ("--seed", seed)] {
        if let Some(value) = value {
            options.extend([name.to_owned(), value.to_string()]);
        }
    }
    simulation().args(["--"]).args(options).run()
}

fn simulation() -> Process {
    let target = ["--profile", "simulation", "--test", "simulation"];
    cargo().args(["test", "--quiet"]).args(target)
}
