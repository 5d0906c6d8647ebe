//! Finds the browsers for tests. If a browser is missing, installs its Debian package.

use crate::process::Process;
use crate::programs::{Need, Program, with_program_if_possible, with_programs};
use anyhow::Result;
use clap::ValueEnum;
use std::fmt::{Display, Formatter};

/// A browser engine for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
    /// The GTK port of WebKit, the engine of Safari
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

/// Chromium without windows. The same engine needs half of the time.
const HEADLESS_SHELL: Program = Program {
    variable: "CHROME_SHELL_PATH",
    names: &["chromium-headless-shell", "chrome-headless-shell"],
    elsewhere: &[],
    packages: &["chromium-headless-shell"],
};

const FIREFOX: Program = Program {
    variable: "FIREFOX_PATH",
    names: &["firefox-esr", "firefox"],
    elsewhere: &["/Applications/Firefox.app/Contents/MacOS/firefox"],
    packages: &["firefox-esr"],
};

/// The driver of `WebKitGTK`. Its package also installs the browser that it drives.
const WEBKIT_DRIVER: Program = Program {
    variable: "WEBKIT_DRIVER_PATH",
    names: &["WebKitWebDriver"],
    elsewhere: &[],
    packages: &["webkit2gtk-driver"],
};

/// A virtual screen, because `WebKitGTK` has no headless mode.
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

/// Adds the environment variables with the paths of these engines' programs to a process. Installs missing programs.
pub(crate) fn with_engines(process: Process, engines: &[Engine]) -> Result<Process> {
    let needs = engines.iter().map(|engine| Need {
        to_test: format!("in {engine}"),
        programs: engine.programs(),
    });
    let otherwise = "`cargo xtask test --engines chromium` tests in Chromium only, and says so in its last line";
    with_programs(process, &needs.collect::<Vec<_>>(), otherwise)
}

/// Adds the environment variable with the path of Chromium's headless shell to a process, if there is one or if it can be
/// installed. Tests that do not need a whole browser use the shell.
pub(crate) fn with_headless_shell(process: Process) -> Result<Process> {
    with_program_if_possible(process, &HEADLESS_SHELL)
}

/// Adds the environment variable with the path of Chromium to a process.
pub(crate) fn with_chromium(process: Process) -> Result<Process> {
    with_engines(process, &[Engine::Chromium])
}
