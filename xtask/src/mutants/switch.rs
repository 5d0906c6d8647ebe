//! Chooses a mutant. This file is a module of the copy with mutants, and is not compiled into xtask.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

struct Settings {
    chosen: usize,
    /// The numbers of the functions that were reached, and the file to which these numbers are written.
    trace: Option<Mutex<(BTreeSet<usize>, File)>>,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Returns the number of the chosen mutant. Each function with mutants calls `chosen` at its start, with the number of
/// its own first mutant.
pub fn chosen(function: usize) -> usize {
    let settings = SETTINGS.get_or_init(read);
    if let Some(trace) = &settings.trace {
        let mut trace = trace.lock().unwrap();
        if trace.0.insert(function) {
            writeln!(trace.1, "{function}").unwrap();
        }
    }
    settings.chosen
}

fn read() -> Settings {
    let number = |text: String| text.parse().ok();
    let chosen = std::env::var("STRONGROOM_MUTANT").ok().and_then(number);
    if chosen.is_some() && std::env::var_os("STRONGROOM_PATIENT").is_none() {
        // The first panic ends the process, because one failing test is enough to notice a mutant.
        std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    }
    let file = std::env::var_os("STRONGROOM_TRACE").map(|path| File::create(path).unwrap());
    Settings {
        chosen: chosen.unwrap_or(usize::MAX),
        trace: file.map(|file| Mutex::new((BTreeSet::new(), file))),
    }
}
