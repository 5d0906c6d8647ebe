//! Tries every order of the steps of a small world.
//!
//! The core cannot be copied in the middle of its work, so each order is replayed from the beginning. Orders that lead
//! to the same state are followed once: [`World::print`] tells them by their histories.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A world in which the search chooses each step.
pub(crate) trait World: Sized {
    /// The name of a step, which is the same in every order.
    type Step: Copy + Display;

    /// Returns the steps that may be next, or no step if the world has come to its end.
    fn options(&self) -> Vec<Self::Step>;

    fn take(&mut self, step: Self::Step);

    /// Returns a number for the histories of all parties and for the order of what they did to shared things. Equal
    /// numbers stand for equal states.
    fn print(&self) -> u64;

    /// Checks the rules that hold at the end.
    fn end(self);

    /// Drops the world without a check.
    fn discard(self);
}

/// How far a search goes.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) states: usize,
    pub(crate) time: Duration,
}

/// A broken rule, with the steps that lead to it.
pub(crate) struct Breach<S> {
    pub(crate) what: String,
    pub(crate) steps: Vec<S>,
    /// True if no shorter order breaks this rule.
    pub(crate) is_shortest: bool,
}

impl<S> Breach<S> {
    /// Returns the name of the broken rule.
    pub(crate) fn rule(&self) -> &str {
        rule_in(&self.what)
    }
}

fn rule_in(what: &str) -> &str {
    what.split(':').next().unwrap_or_default()
}

/// What a search has found.
pub(crate) struct Report<S> {
    /// The number of different states.
    pub(crate) states: usize,
    /// The number of states in which the world has come to its end.
    pub(crate) ends: usize,
    /// The number of times that the world was run from its beginning.
    pub(crate) runs: usize,
    /// The number of steps of the longest order.
    pub(crate) longest: usize,
    /// True if no order is left.
    pub(crate) is_complete: bool,
    pub(crate) time: Duration,
    pub(crate) breach: Option<Breach<S>>,
}

/// A state on the way, with the steps that may be next.
struct Fork<S> {
    options: Vec<S>,
    chosen: usize,
}

/// Follows all orders of the world that `begin` creates, depth first, until a rule is broken or a limit is reached.
pub(crate) fn search<W: World>(begin: impl Fn() -> W, limits: Limits) -> Report<W::Step> {
    let start = Instant::now();
    let mut seen = HashSet::new();
    let mut way: Vec<Fork<W::Step>> = Vec::new();
    let mut report = Report {
        states: 0,
        ends: 0,
        runs: 0,
        longest: 0,
        is_complete: false,
        time: Duration::ZERO,
        breach: None,
    };
    loop {
        report.runs += 1;
        let ran = caught(|| {
            let mut world = begin();
            for fork in &way {
                world.take(fork.options[fork.chosen]);
            }
            while seen.insert(world.print()) {
                let options = world.options();
                let Some(first) = options.first().copied() else {
                    report.ends += 1;
                    return world.end();
                };
                way.push(Fork { options, chosen: 0 });
                world.take(first);
            }
            world.discard();
        });
        report.longest = report.longest.max(way.len());
        if let Err(what) = ran {
            let steps = way.iter().map(|fork| fork.options[fork.chosen]).collect();
            report.breach = Some(Breach {
                what,
                steps,
                is_shortest: false,
            });
            break;
        }
        while let Some(last) = way.last_mut() {
            last.chosen += 1;
            if last.chosen < last.options.len() {
                break;
            }
            way.pop();
        }
        report.is_complete = way.is_empty();
        let is_over = seen.len() >= limits.states || start.elapsed() >= limits.time;
        if report.is_complete || is_over {
            break;
        }
    }
    report.states = seen.len();
    report.time = start.elapsed();
    report
}

/// Looks for a shortest order that breaks the same rule, breadth first. Returns the given breach if the time is over.
pub(crate) fn shortest<W: World>(
    begin: impl Fn() -> W,
    known: Breach<W::Step>,
    time: Duration,
) -> Breach<W::Step> {
    let start = Instant::now();
    let mut seen = HashSet::new();
    let mut ways = VecDeque::from([Vec::new()]);
    while let Some(way) = ways.pop_front() {
        if start.elapsed() >= time {
            return known;
        }
        let options = RefCell::new(Vec::new());
        let ran = caught(|| {
            let mut world = begin();
            way.iter().for_each(|step| world.take(*step));
            if !seen.insert(world.print()) {
                return world.discard();
            }
            *options.borrow_mut() = world.options();
            match options.borrow().is_empty() {
                true => world.end(),
                false => world.discard(),
            }
        });
        match ran {
            Err(what) if rule_in(&what) == known.rule() => {
                return Breach {
                    what,
                    steps: way,
                    is_shortest: true,
                };
            }
            // Another rule is broken on this way, so it leads no further.
            Err(_) => {}
            Ok(()) => ways.extend(options.into_inner().into_iter().map(|step| {
                let mut longer = way.clone();
                longer.push(step);
                longer
            })),
        }
    }
    known
}

/// Runs `work`. Returns the message of its panic, if it panics.
fn caught(work: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic without a message").to_owned()
    })
}

/// Returns a number for a value, the same in each run.
pub(crate) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
