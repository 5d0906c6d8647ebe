//! Runs functions of the core natively, for `benches/functions.mjs`. Each line of input contains the name of a function,
//! a number of runs and, for `jwt`, a token. The program responds with the microseconds that these runs have taken.

use ring::rand::{SecureRandom, SystemRandom};
use rules::oauth::jwt::Jwt;
use rules::oauth::pkce::Pkce;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

fn main() -> io::Result<()> {
    let random = SystemRandom::new();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split(' ').collect();
        let run = || match words[..] {
            ["pkce", _] => {
                let mut entropy = [0; 32];
                random.fill(&mut entropy).expect("entropy");
                black_box(Pkce::from_entropy(entropy));
            }
            ["jwt", _, token] => drop(black_box(Jwt::parse(black_box(token)).expect("a token"))),
            _ => panic!("the line has no function of this program: {line}"),
        };
        let count: u32 = words[1].parse().expect("a number of runs");
        let start = Instant::now();
        (0..count).for_each(|_| run());
        let micros = start.elapsed().as_secs_f64() * 1e6;
        writeln!(io::stdout(), "{micros}")?;
    }
    Ok(())
}
