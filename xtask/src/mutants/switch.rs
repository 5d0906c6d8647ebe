//! Chooses a mutant. This module belongs to the copy, not to this program.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

struct Settings {
    chosen: usize,
    /// Functions that were reached, and the file for their numbers.
    trace: Option<Mutex<(BTreeSet<usize>, File)>>,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Returns the chosen mutant. A function calls this at its start, with its own number.
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
        // One failing test is enough to notice a mutant.
        std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    }
    let file = std::env::var_os("STRONGROOM_TRACE").map(|path| File::create(path).unwrap());
    Settings {
        chosen: chosen.unwrap_or(usize::MAX),
        trace: file.map(|file| Mutex::new((BTreeSet::new(), file))),
    }
}
