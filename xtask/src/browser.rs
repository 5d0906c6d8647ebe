//! The browsers that tests are run in: those that are there, or Debian's.

use crate::process::Process;
use crate::programs::{Need, Program, with_programs};
use anyhow::Result;
use clap::ValueEnum;
use std::fmt::{Display, Formatter};

/// An engine that tests are run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
    /// `WebKitGTK`, which is Safari's engine without Safari.
    #[value(name = "webkit")]
    WebKit,
}

const CHROMIUM: Program = Program {
    variable: "CHROME_PATH",
    names: &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "chrome",
    ],
    elsewhere: &[
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ],
    packages: &["chromium", "fonts-liberation"],
};

const FIREFOX: Program = Program {
    variable: "FIREFOX_PATH",
    names: &["firefox-esr", "firefox"],
    elsewhere: &["/Applications/Firefox.app/Contents/MacOS/firefox"],
    packages: &["firefox-esr"],
};

/// It knows its own browser, which is installed with it.
const WEBKIT_DRIVER: Program = Program {
    variable: "WEBKIT_DRIVER_PATH",
    names: &["WebKitWebDriver"],
    elsewhere: &[],
    packages: &["webkit2gtk-driver"],
};

/// `WebKitGTK` has no mode without a window.
const SCREEN: Program = Program {
    variable: "XVFB_PATH",
    names: &["Xvfb"],
    elsewhere: &[],
    packages: &["xvfb"],
};

const MESSAGE_BUS: Program = Program {
    variable: "DBUS_RUN_SESSION_PATH",
    names: &["dbus-run-session"],
    elsewhere: &[],
    packages: &["dbus"],
};

impl Engine {
    const fn programs(self) -> &'static [Program] {
        match self {
            Self::Chromium => &[CHROMIUM],
            Self::Firefox => &[FIREFOX],
            Self::WebKit => &[WEBKIT_DRIVER, SCREEN, MESSAGE_BUS],
        }
    }
}

impl Display for Engine {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::WebKit => "WebKit",
        })
    }
}

/// Adds to a process the variables that name the programs of these engines, which are installed if they are
/// not there.
pub(crate) fn with_engines(process: Process, engines: &[Engine]) -> Result<Process> {
    let needs = engines.iter().map(|engine| Need {
        to_test: format!("in {engine}"),
        programs: engine.programs(),
    });
    let otherwise = "`cargo xtask test --engines chromium` tests in Chromium only, which says so in its last line";
    with_programs(process, &needs.collect::<Vec<_>>(), otherwise)
}

/// The same for what is driven in Chromium only.
pub(crate) fn with_chromium(process: Process) -> Result<Process> {
    with_engines(process, &[Engine::Chromium])
}
