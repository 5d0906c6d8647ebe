//! Facts that Rust and TypeScript share. Rust defines them, and `cargo xtask build` writes TypeScript: constants to
//! `pkg/glue`, and public types to `pkg/src/generated`, from where they get into the package's types.

mod constants;
mod enums;
mod kinds;
mod views;

pub(crate) use enums::write_table;

use crate::paths::at;
use anyhow::Result;
use std::fs;

/// Writes everything.
pub(crate) fn write() -> Result<()> {
    constants::write()?;
    enums::write()?;
    kinds::write()?;
    views::write()
}

/// Writes a file, unless it has this content already: an unchanged file keeps its modification time.
fn write_file(file: &str, content: &str) -> Result<()> {
    let file = at(file);
    if fs::read_to_string(&file).is_ok_and(|written| written == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, content)?)
}
