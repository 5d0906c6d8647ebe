//! Finds the programs that tests need and that neither cargo nor npm installs. If a program is missing, installs its
//! Debian package.

use crate::paths;
use crate::process::{Process, program};
use crate::progress::{Output, step};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::sync::Once;
use std::{env, fs};

/// A program that tests start.
pub(crate) struct Program {
    /// The environment variable with the program's path, which xtask and every script that starts the program read.
    pub(crate) variable: &'static str,
    pub(crate) names: &'static [&'static str],
    /// The program's locations outside PATH. A folder `*` stands for the program's newest version.
    pub(crate) elsewhere: &'static [&'static str],
    /// Debian's packages for the program. The first package contains the program. Recommended packages are not
    /// installed, because they are for desktops.
    pub(crate) packages: &'static [&'static str],
}

/// Programs, and the tests that need them.
pub(crate) struct Need {
    /// The end of a phrase such as "to test in Chromium", which error messages contain.
    pub(crate) to_test: String,
    pub(crate) programs: &'static [Program],
}

/// Returns the need for a Redis server. Tests start the server on a free port and in a folder of their own.
pub(crate) fn redis() -> Need {
    const REDIS: &[Program] = &[Program {
        variable: "REDIS_SERVER_PATH",
        names: &["redis-server", "valkey-server"],
        elsewhere: &[],
        packages: &["redis-server"],
    }];
    Need {
        to_test: "with Redis".to_owned(),
        programs: REDIS,
    }
}

/// Returns the need for a Postgres server. Tests start it on a free port and in a folder of their own. Its other programs
/// are in the folder to which the path leads.
pub(crate) fn postgres() -> Need {
    const POSTGRES: &[Program] = &[Program {
        variable: "POSTGRES_PATH",
        names: &["postgres"],
        elsewhere: &["/usr/lib/postgresql/*/bin/postgres"],
        packages: &["postgresql"],
    }];
    Need {
        to_test: "with PostgreSQL".to_owned(),
        programs: POSTGRES,
    }
}

/// Returns the need for nginx. Tests start it on a free port and in a folder of their own.
pub(crate) fn nginx() -> Need {
    const NGINX: &[Program] = &[Program {
        variable: "NGINX_PATH",
        names: &["nginx"],
        elsewhere: &["/usr/sbin/nginx"],
        packages: &["nginx-light"],
    }];
    Need {
        to_test: "behind nginx".to_owned(),
        programs: NGINX,
    }
}

/// Returns the need for libfaketime, a library with which a test sets the clock of one process.
pub(crate) fn faketime() -> Need {
    const FAKETIME: &[Program] = &[Program {
        variable: "FAKETIME_LIBRARY",
        names: &["libfaketime.so.1"],
        elsewhere: &[
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
            "/usr/lib64/faketime/libfaketime.so.1",
        ],
        packages: &["libfaketime"],
    }];
    Need {
        to_test: "processes whose clocks differ".to_owned(),
        programs: FAKETIME,
    }
}

/// The version of oauth2-proxy that the token handler is compared with.
const OAUTH2_PROXY: &str = "v7.15.6";

/// Adds the environment variable with the path of oauth2-proxy to a process. Go builds the program at the first call. Without
/// Go or its network, the process gets no variable.
pub(crate) fn with_oauth2_proxy(process: Process) -> Process {
    let folder = paths::target("tools").join(format!("oauth2-proxy-{OAUTH2_PROXY}"));
    let built = folder.join("oauth2-proxy");
    let build = || {
        let package = format!("github.com/oauth2-proxy/oauth2-proxy/v7@{OAUTH2_PROXY}");
        let go = program("go").env("GOBIN", &folder);
        go.args(["install", &package]).run_quietly()
    };
    let is_built = built.is_file() || step("go install oauth2-proxy", Output::Quiet, build).is_ok();
    if is_built {
        process.env("OAUTH2_PROXY_PATH", built)
    } else {
        process
    }
}

/// Adds the environment variables with the programs' paths to a process. Installs missing programs. If a program cannot
/// be installed, the error ends with `otherwise`, which describes what can be done without the program.
pub(crate) fn with_programs(process: Process, needs: &[Need], otherwise: &str) -> Result<Process> {
    let programs = || needs.iter().flat_map(|need| need.programs);
    let mut missing = Vec::new();
    for program in programs() {
        if program.find()?.is_none() {
            missing.push(program);
        }
    }
    if !missing.is_empty() {
        install(&missing, needs, otherwise)?;
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

/// Adds the environment variable with the path of a program that makes tests faster. Tries once to install a missing
/// program.
pub(crate) fn with_program_if_possible(
    process: Process,
    program: &'static Program,
) -> Result<Process> {
    static TRIED: Once = Once::new();
    if program.find()?.is_none() {
        TRIED.call_once(|| {
            if install(&[program], &[], "Tests do without it, and take longer").is_err() {
                println!("  without {}, tests take longer", program.names[0]);
            }
        });
    }
    Ok(match program.find()? {
        Some(path) => process.env(program.variable, path),
        None => process,
    })
}

impl Program {
    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(named) = env::var_os(self.variable) {
            let named = PathBuf::from(named);
            if named.is_file() {
                return Ok(Some(named));
            }
            bail!(
                "{} is {}, which is not a file",
                self.variable,
                named.display()
            );
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).flat_map(|folder| {
            self.names
                .iter()
                .map(move |name| folder.join(name).with_extension(env::consts::EXE_EXTENSION))
        });
        let elsewhere = self.elsewhere.iter().filter_map(|path| newest(path));
        Ok(on_path
            .chain(elsewhere)
            .find(|candidate| candidate.is_file()))
    }
}

/// Returns the path with the highest number of a folder in place of `*`, or `None` if there is no such folder.
fn newest(path: &str) -> Option<PathBuf> {
    let Some((folder, rest)) = path.split_once("/*/") else {
        return Some(PathBuf::from(path));
    };
    let names = fs::read_dir(folder).ok()?.flatten();
    let versions = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max()?.to_string();
    Some(PathBuf::from(folder).join(newest).join(rest))
}

/// Installs Debian's packages if the installation needs no password. Otherwise fails with instructions.
fn install(missing: &[&Program], needs: &[Need], otherwise: &str) -> Result<()> {
    let packages = missing
        .iter()
        .flat_map(|program| program.packages)
        .copied()
        .collect::<Vec<_>>();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(sudo) = has_packages(&release).then(privilege).flatten() else {
        bail!("{}", what_to_do(missing, &packages, needs, otherwise));
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
            what_to_do(missing, &packages, needs, otherwise)
        ))
    })
}

/// Describes the missing programs, their installation, and what can be done without them.
fn what_to_do(missing: &[&Program], packages: &[&str], needs: &[Need], otherwise: &str) -> String {
    let is_short = |need: &&Need| {
        need.programs.iter().any(|program| {
            missing
                .iter()
                .any(|other| other.variable == program.variable)
        })
    };
    let names = |list: Vec<&str>| list.join(", ");
    let without = needs.iter().filter(is_short);
    format!(
        "To test {} there must be on PATH: {}. Install them (Debian: `sudo apt-get install {}`), or name the \
         executables in {}. {otherwise}",
        names(without.map(|need| need.to_test.as_str()).collect()),
        names(missing.iter().map(|program| program.names[0]).collect()),
        packages.join(" "),
        names(missing.iter().map(|program| program.variable).collect()),
    )
}

/// Returns true for Debian and for systems that are derived from Debian, except Ubuntu. Ubuntu's browser packages only
/// point to snaps, which may not be installable.
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

/// Returns the words before `apt-get`: no words for root, and `sudo -n` if sudo needs no password. Otherwise returns
/// `None`.
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
    use super::{has_packages, newest};
    use std::{env, fs, process};

    #[test]
    fn newest_version_of_a_program_is_found() {
        let folder = env::temp_dir().join(format!("strongroom-programs-{}", process::id()));
        for version in ["9", "15", "other"] {
            fs::create_dir_all(folder.join(version)).expect("a folder");
        }
        let found = newest(&format!("{}/*/bin/server", folder.display()));
        let missing = newest(&format!("{}/other/*/bin/server", folder.display()));
        fs::remove_dir_all(&folder).expect("the folder exists");
        assert_eq!(found, Some(folder.join("15/bin/server")));
        assert_eq!(missing, None);
        assert_eq!(newest("/usr/sbin/nginx"), Some("/usr/sbin/nginx".into()));
    }

    #[test]
    fn packages_come_from_debian_and_not_ubuntu() {
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
