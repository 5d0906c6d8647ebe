//! Runs the real core in tens of thousands of *lives*, which are short random runs in virtual time. `life.rs` and
//! `isolates.rs` cause the faults. The two files `invariants.rs` in `tests/kit` have the rules that must hold despite
//! these faults.
//!
//! A seed determines a life. The seed of a failing life is printed, and running that seed alone prints each step:
//! `cargo xtask simulate --seed 17`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints for a person"
)]

mod isolates;
mod life;
mod tally;
mod wakes;

use std::cell::RefCell;
use std::fmt::Display;
use std::io::IsTerminal;
use std::ops::Range;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::world::invariants::Invariant;

const USAGE: &str = "usage: cargo xtask simulate [--isolates] [--sessions N] [--seed S]";

/// Number of lives that run twice, to check that a seed always leads to the same life.
const REPEATED: u64 = 20;

/// A kind of life.
trait Lives {
    type Tally: Default + Display + Send;
    /// Number of lives that is enough to detect each deliberately broken rule of the core, with a margin.
    const ENOUGH: u64;
    /// The name and sentence of the rule that is broken when the core panics without breaking another invariant.
    const SANITY: (&'static str, &'static str);
    /// The moment from which the times in a story are counted.
    const COUNTED_FROM: &'static str;

    fn live(seed: u64) -> Self::Tally;
    fn tell(seed: u64, line: &mut dyn FnMut(&str)) -> Self::Tally;
    fn add(sum: &mut Self::Tally, more: &Self::Tally);
    fn count(tally: &Self::Tally) -> u64;
}

/// Lives of one or several vaults, each in its worker.
struct Vaults;

impl Lives for Vaults {
    type Tally = tally::Tally;
    const ENOUGH: u64 = 20_000;
    const SANITY: (&'static str, &'static str) =
        (Invariant::Sanity.name(), Invariant::Sanity.sentence());
    const COUNTED_FROM: &'static str = "the worker's first moment, by the monotonic clock";

    fn live(seed: u64) -> Self::Tally {
        life::live(seed)
    }

    fn tell(seed: u64, line: &mut dyn FnMut(&str)) -> Self::Tally {
        life::tell(seed, line)
    }

    fn add(sum: &mut Self::Tally, more: &Self::Tally) {
        sum.add(more);
    }

    fn count(tally: &Self::Tally) -> u64 {
        tally.sessions
    }
}

struct Options {
    /// Runs isolates instead of vaults.
    isolates: bool,
    /// Counts lost sessions of laptops instead of looking for faults.
    wakes: bool,
    sessions: Option<u64>,
    seed: Option<u64>,
    /// In a control, the invariant that must notice the broken core.
    expected: Option<String>,
}

/// The seed of a failed life, and the broken invariant.
struct Breach {
    seed: u64,
    what: String,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--invariants") {
        names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.wakes {
        return show_wakes(options.sessions.unwrap_or(100));
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        PLACE.with(|kept| *kept.borrow_mut() = place.unwrap_or_default());
    }));
    if options.isolates {
        return follow::<isolates::Isolates>(&options);
    }
    follow::<Vaults>(&options)
}

/// Returns the names of all invariants.
fn names() -> impl Iterator<Item = &'static str> {
    let vaults = Invariant::ALL.iter().map(|invariant| invariant.name());
    vaults.chain(isolates::names())
}

fn follow<L: Lives>(options: &Options) -> ExitCode {
    match (&options.expected, options.seed, options.sessions) {
        (None, Some(seed), None | Some(1)) => replay::<L>(seed),
        (expected, seed, sessions) => {
            let first = seed.unwrap_or(1);
            let seeds = first..first.saturating_add(sessions.unwrap_or(L::ENOUGH));
            match expected {
                Some(expected) => control::<L>(seeds, expected),
                None => simulate::<L>(seeds),
            }
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut sessions, mut seed, mut expected) = (None, None, None);
        let (mut isolates, mut wakes) = (false, false);
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--isolates" => isolates = true,
                "--wakes" => wakes = true,
                _ => {}
            }
            if matches!(name.as_str(), "--isolates" | "--wakes") {
                continue;
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            let number = || {
                let why = |_| format!("{name} takes a number, not {value}");
                value.parse::<u64>().map_err(why)
            };
            match name.as_str() {
                "--sessions" => sessions = Some(number()?),
                "--seed" => seed = Some(number()?),
                "--expect" if names().any(|known| known == value) => expected = Some(value),
                "--expect" => return Err("no such invariant".to_owned()),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(Self {
            isolates,
            wakes,
            sessions,
            seed,
            expected,
        })
    }
}

/// Prints how many sessions a lost response ends, for short and long tokens and for each kind of device.
fn show_wakes(days: u64) -> ExitCode {
    for minutes in [5, 60] {
        let usual = wakes::Device {
            lifetime: Duration::from_secs(minutes * 60),
            runs_on: false,
            is_untold: false,
            sleeps_briefly: false,
        };
        let runs_on = wakes::Device {
            runs_on: true,
            ..usual
        };
        let devices = [
            ("the monotonic clock stops in sleep", usual),
            ("it runs on, as on Windows", runs_on),
            (
                "it runs on, and the sleep is shorter than three minutes",
                wakes::Device {
                    sleeps_briefly: true,
                    ..runs_on
                },
            ),
            (
                "it stops, and the page hears of no change",
                wakes::Device {
                    is_untold: true,
                    ..usual
                },
            ),
        ];
        for (name, device) in devices {
            let mut sum = wakes::Days::default();
            (1..=days).for_each(|seed| sum.add(wakes::day(device, seed)));
            println!("tokens of {minutes} minutes; {name}\n  {sum}");
        }
    }
    ExitCode::SUCCESS
}

fn simulate<L: Lives>(seeds: Range<u64>) -> ExitCode {
    if let Some(seed) = seeds
        .clone()
        .take(REPEATED as usize)
        .find(|&seed| !repeats_itself::<L>(seed))
    {
        eprintln!("seed {seed} does not repeat itself: something besides the seed has an effect");
        return ExitCode::FAILURE;
    }
    println!("  seeds {} to {}", seeds.start, seeds.end.saturating_sub(1));
    let start = Instant::now();
    let (tally, breach) = run::<L>(seeds, true);
    let time = start.elapsed().as_secs_f64();
    let Some(breach) = breach else {
        println!("{tally}");
        println!(
            "  no invariant was broken; {:.1} s, {:.0} sessions/s",
            time,
            L::count(&tally) as f64 / time
        );
        return ExitCode::SUCCESS;
    };
    println!(
        "seed {} breaks an invariant\n  {}",
        breach.seed, breach.what
    );
    let kind = std::env::args().find(|name| name == "--isolates");
    let kind = kind.map_or_else(String::new, |name| name + " ");
    println!(
        "  step by step: cargo xtask simulate {kind}--seed {}",
        breach.seed
    );
    ExitCode::FAILURE
}

/// Largest number of lives in which another invariant than the expected one may be broken first.
const MOST_OTHERS: usize = 20;

/// Fails unless the expected invariant is the first to be broken in one of these lives. In a few other lives, the same
/// broken rule may break another invariant first.
fn control<L: Lives>(seeds: Range<u64>, expected: &str) -> ExitCode {
    let mut others = Vec::new();
    let mut next = seeds.start;
    while others.len() < MOST_OTHERS
        && let (_, Some(breach)) = run::<L>(next..seeds.end, false)
    {
        if breach.what.starts_with(&format!("{expected}:")) {
            println!("noticed by {expected} with seed {}", breach.seed);
            return ExitCode::SUCCESS;
        }
        next = breach.seed + 1;
        others.push(format!("seed {}: {}", breach.seed, breach.what));
    }
    let first = others.first().map_or("no life noticed it", String::as_str);
    println!("{expected} should notice; {first}");
    ExitCode::FAILURE
}

fn replay<L: Lives>(seed: u64) -> ExitCode {
    println!("seed {seed}; seconds since {}", L::COUNTED_FROM);
    let end = catch_unwind(|| L::tell(seed, &mut |line| println!("{line}")));
    match end {
        Ok(tally) => {
            println!("{tally}\n  no invariant was broken");
            ExitCode::SUCCESS
        }
        Err(panic) => {
            println!("{}", words_of::<L>(&*panic));
            ExitCode::FAILURE
        }
    }
}

fn repeats_itself<L: Lives>(seed: u64) -> bool {
    let story = || {
        let mut lines = Vec::new();
        // A life that breaks a rule ends with a panic. The panic is ignored here, because the usual run of the life
        // reports it.
        catch_unwind(std::panic::AssertUnwindSafe(|| {
            L::tell(seed, &mut |line| lines.push(line.to_owned()));
        }))
        .ok();
        lines
    };
    story() == story()
}

/// Runs the lives of these seeds on all cores, until a life breaks an invariant or all lives have run.
fn run<L: Lives>(seeds: Range<u64>, shows_progress: bool) -> (L::Tally, Option<Breach>) {
    let next = AtomicU64::new(seeds.start);
    let is_over = AtomicBool::new(false);
    let tally = Mutex::new(L::Tally::default());
    let breach: Mutex<Option<Breach>> = Mutex::new(None);
    let lives = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || is_over.load(Ordering::Relaxed) {
                return;
            }
            match catch_unwind(|| L::live(seed)) {
                Ok(more) => L::add(&mut tally.lock().unwrap(), &more),
                Err(panic) => {
                    is_over.store(true, Ordering::Relaxed);
                    let what = words_of::<L>(&*panic);
                    let mut breach = breach.lock().unwrap();
                    // The lowest of the failed seeds is reported, whichever life failed first.
                    if breach.as_ref().is_none_or(|breach| seed < breach.seed) {
                        *breach = Some(Breach { seed, what });
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(lives)).collect();
        if shows_progress {
            let mut progress = Progress::new(seeds.end - seeds.start);
            while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                thread::sleep(Duration::from_millis(100));
                progress.show(L::count(&tally.lock().unwrap()));
            }
            progress.clear();
        }
    });
    (tally.into_inner().unwrap(), breach.into_inner().unwrap())
}

/// A progress line. It is replaced each second on a terminal, and repeated from time to time elsewhere.
struct Progress {
    start: Instant,
    shown: Instant,
    of: u64,
    is_terminal: bool,
}

impl Progress {
    fn new(of: u64) -> Self {
        let now = Instant::now();
        let is_terminal = std::io::stdout().is_terminal();
        Self {
            start: now,
            shown: now,
            of,
            is_terminal,
        }
    }

    fn show(&mut self, sessions: u64) {
        let pause = Duration::from_secs(if self.is_terminal { 1 } else { 20 });
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let per_second = sessions as f64 / self.start.elapsed().as_secs_f64();
        let line = format!("  {sessions} of {} sessions, {per_second:.0}/s", self.of);
        if self.is_terminal {
            print!("\r\x1b[2K{line}");
            std::io::Write::flush(&mut std::io::stdout()).ok();
        } else {
            println!("{line}");
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            print!("\r\x1b[2K");
        }
    }
}

thread_local! {
    /// The location of this thread's last panic.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Returns the message of a panic. A panic that comes from no invariant counts as a violation of `sanity`.
fn words_of<L: Lives>(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a message");
    let is_known = text
        .split_once(':')
        .is_some_and(|(name, _)| names().any(|known| known == name));
    if is_known {
        return text.to_owned();
    }
    let place = PLACE.with(|place| place.borrow().clone());
    let (name, sentence) = L::SANITY;
    format!("{name}: {sentence}: {text} ({place})")
}
