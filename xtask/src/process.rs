//! Starts child processes. Errors name the command that failed.

use crate::paths;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A command that runs in the repository's root.
pub(crate) struct Process {
    command: Command,
    shown: String,
}

/// Returns a command that runs `program`, which is found on PATH.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Process {
    let mut command = Command::new(&program);
    command.current_dir(paths::root());
    Process {
        command,
        shown: program.as_ref().to_string_lossy().into_owned(),
    }
}

/// Returns a command that runs Node with these arguments: a script and its options.
pub(crate) fn node(arguments: &[&str]) -> Process {
    program("node").args(arguments)
}

/// Returns a command that runs the cargo by which this program was started.
pub(crate) fn cargo() -> Process {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).shown_as("cargo")
}

/// Replaces this program with `node`, so that Ctrl-C and other signals reach Node directly.
pub(crate) fn become_node(arguments: &[&str]) -> Result<()> {
    node(arguments).replace()
}

impl Process {
    fn shown_as(mut self, name: &str) -> Self {
        name.clone_into(&mut self.shown);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the command. Its output goes to this program's output.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self
            .command
            .status()
            .with_context(|| format!("`{}` could not be started", self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.shown);
        }
        Ok(())
    }

    /// Runs the command silently. If it fails, the error contains its output.
    pub(crate) fn run_quietly(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs the command and returns its standard output, trimmed.
    pub(crate) fn read(self) -> Result<String> {
        let output = self.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs the command silently. Returns true if it can be started and succeeds.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn output(mut self) -> Result<Output> {
        let output = self
            .command
            .output()
            .with_context(|| format!("`{}` could not be started", self.shown))?;
        if !output.status.success() {
            bail!(
                "`{}` failed ({})\n{}{}",
                self.shown,
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output)
    }

    /// Replaces this program with the command, so that Ctrl-C and other signals reach the command directly.
    #[cfg(unix)]
    pub(crate) fn replace(mut self) -> Result<()> {
        use std::os::unix::process::CommandExt;
        Err(self.command.exec()).with_context(|| format!("`{}` could not be started", self.shown))
    }

    /// Runs the command, since this platform cannot replace a program.
    #[cfg(not(unix))]
    pub(crate) fn replace(self) -> Result<()> {
        self.run()
    }
}
/// Returns the names and paths of the programs that cargo has built, from its messages in JSON.
pub(crate) fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let built = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let file = message["executable"].as_str()?;
        let name = message["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(file)))
    });
    built.collect()
}
