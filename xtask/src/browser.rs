//! A Chromium: the one that is there, or Debian's.

use crate::process::program;
use crate::progress::{Output, step};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::{env, fs};

/// The variable that names the browser, read here and by every script that opens one.
pub(crate) const VARIABLE: &str = "CHROME_PATH";

const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];

const MAC: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// The browser's executable.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE) {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        bail!("{VARIABLE} is {}, which is no file", named.display());
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    install()?;
    find().context("apt-get installed the package chromium, but there is no chromium on PATH")
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).flat_map(|folder| {
        NAMES.map(|name| folder.join(name).with_extension(env::consts::EXE_EXTENSION))
    });
    on_path
        .chain(MAC.map(PathBuf::from))
        .find(|candidate| candidate.is_file())
}

/// Installs Debian's package where that is possible without asking anyone.
fn install() -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(sudo) = has_chromium_package(&release).then(privilege).flatten() else {
        bail!(
            "no Chromium or Chrome was found. Install one (Debian: `sudo apt-get install chromium`; \
             otherwise https://www.google.com/chrome), or set {VARIABLE} to its executable"
        );
    };
    let apt = |arguments: &[&str]| {
        let words = sudo
            .iter()
            .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut words = words.chain(arguments);
        let first = words.next().copied().unwrap_or_default();
        program(first).args(words).run_quietly()
    };
    step("apt-get install chromium", Output::Quiet, || {
        apt(&["update"])?;
        // The recommended packages are a desktop's, but for the fonts.
        let packages = ["chromium", "fonts-liberation"];
        let options = ["install", "--yes", "--no-install-recommends"];
        apt(&[&options[..], &packages].concat())
    })
    .with_context(|| {
        format!("no Chromium or Chrome was found, and apt-get could not install one. Do so, or set {VARIABLE}")
    })
}

/// Ubuntu's package of that name is only a pointer to a snap, which may not be installable.
fn has_chromium_package(os_release: &str) -> bool {
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
    use super::has_chromium_package;

    #[test]
    fn debian_has_the_package_and_ubuntu_has_not() {
        let cases = [
            ("PRETTY_NAME=\"Debian GNU/Linux 13\"\nID=debian\n", true),
            ("ID=raspbian\nID_LIKE=debian\n", true),
            ("ID=ubuntu\nID_LIKE=debian\n", false),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", false),
            ("ID=fedora\n", false),
            ("", false),
        ];
        for (release, expected) in cases {
            assert_eq!(has_chromium_package(release), expected, "{release}");
        }
    }
}
