//! Runs all targets with hostile input for a few seconds. `cargo xtask fuzz` runs the same targets for any length of
//! time. The invariants are in `targets/`. The files `extremes`, `replies` and `tokens` test particular hostile inputs.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

mod extremes;
mod mutation;
mod reflection;
mod replies;
mod tokens;

use kit::dice::Dice;
use mutation::mutated;
use std::panic::catch_unwind;
use targets::{ALL, Target};

/// The number of mutations for each target. Slow targets have fewer mutations.
const MUTATIONS: usize = 4000;

fn target(name: &str) -> &'static Target {
    ALL.iter().find(|target| target.name == name).unwrap()
}

/// Runs a target with its seeds and their mutations, which are the same in each run.
fn run(name: &str, mutations: usize) {
    let target = target(name);
    let seeds: Vec<&[u8]> = target.seeds().map(str::as_bytes).collect();
    assert!(seeds.len() >= 8, "{name} begins with too little");
    let mut dice = Dice::new(1);
    let check = |input: &[u8]| {
        let shown = String::from_utf8_lossy(input);
        assert!(
            catch_unwind(|| (target.check)(input)).is_ok(),
            "{name} fails for\n{shown}"
        );
    };
    check(b"");
    seeds.iter().for_each(|seed| check(seed));
    for _ in 0..mutations {
        let (seed, other) = (dice.pick(&seeds), dice.pick(&seeds));
        check(&mutated(seed, other, &mut dice));
    }
}

macro_rules! mutations_of {
    ($($(#[$needs:meta])? $name:ident: $mutations:expr),+ $(,)?) => {
        $($(#[$needs])?
        #[test]
        fn $name() {
            run(stringify!($name), $mutations);
        })+

        #[test]
        fn every_target_is_run() {
            let run = [$($(#[$needs])? stringify!($name)),+];
            assert!(ALL.iter().map(|target| target.name).eq(run));
        }
    };
}

mutations_of! {
    // claim: site-3
    callback: MUTATIONS,
    challenge: MUTATIONS,
    edge_cookie: MUTATIONS,
    edge_logout: MUTATIONS,
    edge_record: MUTATIONS,
    edge_session: MUTATIONS,
    // claim: script-7
    egress: MUTATIONS,
    form: MUTATIONS,
    // claim: provider-1
    id_token: MUTATIONS,
    // claim: provider-1
    json: MUTATIONS,
    // claim: provider-1
    jwks: MUTATIONS,
    // claim: provider-1
    jwt: MUTATIONS,
    // claim: device-5
    kept: MUTATIONS,
    // claim: provider-1
    metadata: MUTATIONS,
    // claim: api-4
    reflection: MUTATIONS,
    socket: MUTATIONS,
    // claim: provider-1, end-1
    token_reply: MUTATIONS,
    // claim: script-3, api-3
    vault: MUTATIONS / 8,
}
