//! Prints the set of capabilities with which the tests run.

use std::io::Write;

use strongroom::base::capability;

#[test]
fn set_of_capabilities_is_printed() {
    let (present, absent): (Vec<_>, Vec<_>) = capability::all().partition(|(_, is_here)| *is_here);
    let names = |list: Vec<(&'static str, bool)>| {
        let names: Vec<_> = list.into_iter().map(|(name, _)| name).collect();
        names.join(", ")
    };
    let edge = cfg!(feature = "edge");
    let (present, absent) = (names(present), names(absent));
    // The test harness does not capture what is written to this stream.
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "tested with: {present}; without: {absent}; edge: {edge}"
    )
    .expect("stdout");
    assert!(
        !edge || absent.is_empty(),
        "the token handler needs all capabilities"
    );
}
