//! Builds the npm package in `pkg/dist` from `pkg/glue` and `pkg/src`, and then bundles the demo site.

use crate::at_once::each;
use crate::paths::{at, files_below, root, target};
use crate::process::node;
use crate::progress::{Output, seconds, step, unchanged};
use crate::stamp::Stamp;
use crate::{facts, install, testing, wasm};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// The TypeScript projects. There are several, because pages, workers and servers have different globals, and the
/// bindings import the packages of frameworks.
const PROJECTS: [&str; 5] = [
    "pkg/tsconfig.json",
    "pkg/tsconfig.bindings.json",
    "pkg/tsconfig.worker.json",
    "pkg/tsconfig.edge.json",
    "pkg/tsconfig.doctor.json",
];

/// The file whose lock a build holds.
const LOCK: &str = "build.lock";

/// Waits until no other process builds in this clone: two would write the same files, such as those of `pkg/dist`. Keep the
/// returned file open until the end of the build. A process that ends releases the lock, too.
fn lock(name: &str) -> Result<File> {
    let path = target(name);
    fs::create_dir_all(target(""))?;
    let file = File::create(&path)?;
    if file.try_lock().is_err() {
        println!("another command is building in this clone; this one waits for it");
        let failed = || format!("{} could not be locked", path.display());
        file.lock().with_context(failed)?;
    }
    Ok(file)
}

/// Builds everything that is out of date, once per run of this program.
pub(crate) fn build() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Relaxed) {
        return Ok(());
    }
    let _alone = lock(LOCK)?;
    let start = Instant::now();
    println!("build");
    install::npm_packages()?;
    modules()?;
    facts::write()?;
    package()?;
    site()?;
    println!("built in {}\n", seconds(start.elapsed()));
    DONE.store(true, Relaxed);
    Ok(())
}

/// Builds the modules of the package. They are built at the same time, because each keeps little more than one core busy.
fn modules() -> Result<()> {
    install::wasm_target()?;
    let builds: [fn() -> Result<()>; 2] = [wasm::build, testing::build];
    let built = each(builds.len(), builds, |build| build());
    built.into_iter().collect()
}

/// The folder with the package's files that the demo loads, relative to the repository's root.
pub(crate) const DEMO: &str = "target/demo";

/// Builds what the demo loads, in less than half the time of [`build`]. `npm pack` packs `pkg/dist`, so that folder always has
/// all files.
pub(crate) fn demo() -> Result<()> {
    let _alone = lock(LOCK)?;
    let start = Instant::now();
    println!("build the demo");
    install::npm_packages()?;
    wasm::vault()?;
    facts::write()?;
    let inputs = [
        "pkg/src",
        "pkg/glue",
        "pkg/build.mjs",
        "pkg/entries.mjs",
        "package-lock.json",
    ];
    let stamp = Stamp::of("demo", &inputs.map(at), &[])?;
    let outputs = [at(DEMO)];
    let label = "package: esbuild, for the demo alone";
    if stamp.is_fresh(&outputs) {
        unchanged(label);
    } else {
        step(label, Output::Quiet, || {
            node(&["pkg/build.mjs", DEMO]).run_quietly()
        })?;
        stamp.write(&outputs)?;
    }
    println!("built in {}\n", seconds(start.elapsed()));
    Ok(())
}

fn package() -> Result<()> {
    let inputs = [
        "pkg/src",
        "pkg/glue",
        "pkg/assistants.mjs",
        "pkg/build.mjs",
        "pkg/build-testing.mjs",
        "pkg/entries.mjs",
        "pkg/package.json",
    ]
    .into_iter()
    .chain(PROJECTS)
    .chain([
        "package-lock.json",
        "README.md",
        "docs",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ]);
    let stamp = Stamp::of("package", &inputs.map(at).collect::<Vec<_>>(), &[])?;
    let outputs = [
        "index.js",
        "page/index.d.ts",
        "worker.js",
        "worker/index.d.ts",
        "standalone.js",
        "worker/standalone.d.ts",
        "escrow.js",
        "worker/escrow.d.ts",
        "media.js",
        "media/media.d.ts",
        "page-media.js",
        "headers.js",
        "headers/index.d.ts",
        "doctor/index.js",
        "edge.js",
        "edge-common.js",
        "edge-module.js",
        "edge.workerd.js",
        "edge.light.js",
        "edge/index.d.ts",
        "edge/node.js",
        "edge/adapters/node.d.ts",
        "edge/conformance.js",
        "edge/coordinators/conformance.d.ts",
        "edge/postgres.js",
        "edge/coordinators/postgres.d.ts",
        "error-messages.js",
        "worker-failure.js",
        "login.js",
        "guard.js",
        "resume.js",
        "reconnect.js",
        "streaming.js",
        "connect-frame.js",
        "token-handler-client.js",
        "vault-frame.js",
        "vault-origin/vault-frame.d.ts",
        "callback.js",
        "callback/finish-login.d.ts",
        "messages.js",
        "page/errors/user-message.d.ts",
        "inspector.js",
        "inspector/index.d.ts",
        "inspector/record.js",
        "wasm-url.js",
        "page/wasm-url.d.ts",
        "form.js",
        "react.js",
        "bindings/react.d.ts",
        "testing.js",
        "testing/index.d.ts",
        "vue.js",
        "bindings/vue.d.ts",
        "solid.js",
        "bindings/solid.d.ts",
        "angular.js",
        "bindings/angular.d.ts",
        "strongroom_bg.wasm",
        "strongroom_edge_bg.wasm",
    ]
    .map(|name| at("pkg/dist").join(name));
    if stamp.is_fresh(&outputs) {
        unchanged("package: esbuild, tsc");
        return Ok(());
    }
    step("package: esbuild", Output::Quiet, || {
        node(&["pkg/build.mjs"]).run_quietly()
    })?;
    step("package: tsc", Output::Quiet, || {
        PROJECTS.iter().try_for_each(|project| tsc(project, &[]))
    })?;
    stamp.write(&outputs)
}

fn tsc(project: &str, options: &[&str]) -> Result<()> {
    node(&["node_modules/typescript/bin/tsc", "--project", project])
        .args(options)
        .run_quietly()
}

/// Bundles the demo site, which uses the client name of the tests' servers.
fn site() -> Result<()> {
    // The outputs are in a folder of `www`. The documentation site is in another one.
    let mut inputs = files_below(root(), "www")?;
    inputs.retain(|file| !file.starts_with("www/docs/"));
    inputs.extend(
        [
            "README.md",
            "docs/providers",
            "pkg/dist",
            "tests/support",
            "package-lock.json",
        ]
        .map(str::to_owned),
    );
    let inputs: Vec<_> = inputs.iter().map(|input| at(input)).collect();
    let outputs = [at("www/dist"), at("target/static")];
    let stamp = Stamp::of("site", &inputs, &[])?;
    if stamp.is_fresh(&outputs) {
        unchanged("site: esbuild, tsc");
        return Ok(());
    }
    step("site: esbuild, tsc", Output::Quiet, || {
        node(&["www/build.mjs"]).run_quietly()
    })?;
    stamp.write(&outputs)
}

#[cfg(test)]
mod tests {
    use super::{File, lock, target};
    use std::sync::Mutex;
    use std::thread;

    #[test]
    fn second_build_waits_for_the_first() {
        const NAME: &str = "test-of-builds.lock";
        let built = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = lock(NAME).unwrap();
            scope.spawn(|| {
                let _alone = lock(NAME).unwrap();
                built.lock().unwrap().push("second");
            });
            let other = File::open(target(NAME)).unwrap();
            assert!(other.try_lock().is_err());
            built.lock().unwrap().push("first");
            drop(first);
        });
        assert_eq!(built.into_inner().unwrap(), ["first", "second"]);
    }
}
