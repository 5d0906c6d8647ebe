//! Tells the reader of `cargo test` what it covers, because most of the project's tests are in other places.

#![allow(
    clippy::print_stdout,
    reason = "the line is for the reader of the output"
)]

fn main() {
    println!(
        "\n`cargo test` covers the core, natively and in virtual time. `cargo xtask test quick` also checks formats, the \
         page's code and the demo in Chromium. `cargo xtask test` runs all tests."
    );
}
