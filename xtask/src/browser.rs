//! The browsers that tests are run in: those that are there, or Debian's.

use crate::process::{Process, program};
use crate::progress::{Output, step};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::{env, fs};

/// An engine that tests are run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
    /// `WebKitGTK`, which is Safari's engine without Safari.
    #[value(name = "webkit")]
    WebKit,
}

/// A program that an engine needs.
struct Program {
    /// The variable that names it, read here and by every script that starts it.
    variable: &'static str,
    names: &'static [&'static str],
    /// Where it is when it is not on PATH.
    elsewhere: &'static [&'static str],
    /// Debian's packages, the first being the one with the program. Packages that they recommend are a
    /// desktop's.
    packages: &'static [&'static str],
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
    let programs = || engines.iter().flat_map(|engine| engine.programs());
    let mut missing = Vec::new();
    for program in programs() {
        if program.find()?.is_none() {
            missing.push(program);
        }
    }
    if !missing.is_empty() {
        install(&missing, engines)?;
    }
    programs().try_fold(process, |process, program| match program.find()? {
        Some(path) => Ok(process.env(program.variable, path)),
        None => bail!(
            "apt-get installed the package {}, but there is no {} on PATH",
            program.packages[0],
            program.names[0]
        ),
    })
}

/// The same for what is driven in Chromium only.
pub(crate) fn with_chromium(process: Process) -> Result<Process> {
    with_engines(process, &[Engine::Chromium])
}

impl Program {
    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(named) = env::var_os(self.variable) {
            let named = PathBuf::from(named);
            if named.is_file() {
                return Ok(Some(named));
            }
            bail!("{} is {}, which is no file", self.variable, named.display());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).flat_map(|folder| {
            self.names
                .iter()
                .map(move |name| folder.join(name).with_extension(env::consts::EXE_EXTENSION))
        });
        let elsewhere = self.elsewhere.iter().map(PathBuf::from);
        Ok(on_path
            .chain(elsewhere)
            .find(|candidate| candidate.is_file()))
    }
}

/// Installs Debian's packages where that is possible without asking anyone.
fn install(missing: &[&Program], engines: &[Engine]) -> Result<()> {
    let packages = missing
        .iter()
        .flat_map(|program| program.packages)
        .copied()
        .collect::<Vec<_>>();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(sudo) = has_packages(&release).then(privilege).flatten() else {
        bail!("{}", what_to_do(missing, &packages, engines));
    };
    let apt = |arguments: &[&str]| {
        let words = sudo
            .iter()
            .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut words = words.chain(arguments);
        let first = words.next().copied().unwrap_or_default();
        program(first).args(words).run_quietly()
    };
    step(
        &format!("apt-get install {}", packages.join(" ")),
        Output::Quiet,
        || {
            apt(&["update"])?;
            let options = ["install", "--yes", "--no-install-recommends"];
            apt(&[&options[..], &packages].concat())
        },
    )
    .map_err(|error| {
        error.context(format!(
            "apt-get failed. {}",
            what_to_do(missing, &packages, engines)
        ))
    })
}

/// What is missing, how it is installed, and how one does without.
fn what_to_do(missing: &[&Program], packages: &[&str], engines: &[Engine]) -> String {
    let needs = |engine: &&Engine| {
        let own = engine.programs();
        own.iter().any(|program| {
            missing
                .iter()
                .any(|other| other.variable == program.variable)
        })
    };
    let names = |list: Vec<String>| list.join(", ");
    let without = engines
        .iter()
        .filter(needs)
        .map(ToString::to_string)
        .collect();
    let programs = missing
        .iter()
        .map(|program| program.names[0].to_owned())
        .collect();
    let variables = missing
        .iter()
        .map(|program| program.variable.to_owned())
        .collect();
    format!(
        "To test in {} there must be on PATH: {}. Install them (Debian: `sudo apt-get install {}`), or name the \
         executables in {}. `cargo xtask test --engines chromium` tests in Chromium only, which says so in its \
         last line",
        names(without),
        names(programs),
        packages.join(" "),
        names(variables),
    )
}

/// Ubuntu's packages of browsers are only pointers to snaps, which may not be installable.
fn has_packages(os_release: &str) -> bool {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
            .unwrap_or_default()
    };
    let like =
        |name: &str| value("ID") == name || value("ID_LIKE").split(' ').any(|word| word == name);
    like("debian") && !like("ubuntu")
}

/// The words before `apt-get`: none for root, `sudo -n` where that asks for no password.
fn privilege() -> Option<&'static [&'static str]> {
    if program("id")
        .args(["-u"])
        .read()
        .is_ok_and(|user| user == "0")
    {
        return Some(&[]);
    }
    let sudo: &[&str] = &["sudo", "-n"];
    program("sudo")
        .args(["-n", "true"])
        .succeeds()
        .then_some(sudo)
}

#[cfg(test)]
mod tests {
    use super::has_packages;

    #[test]
    fn debian_has_the_packages_and_ubuntu_has_not() {
        let cases = [
            ("PRETTY_NAME=\"Debian GNU/Linux 13\"\nID=debian\n", true),
            ("ID=raspbian\nID_LIKE=debian\n", true),
            ("ID=ubuntu\nID_LIKE=debian\n", false),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", false),
            ("ID=fedora\n", false),
            ("", false),
        ];
        for (release, expected) in cases {
            assert_eq!(has_packages(release), expected, "{release}");
        }
    }
}
