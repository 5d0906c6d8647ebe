//! Tries every order of the steps of a small world.
//!
//! The core cannot be copied in the middle of its work, so each order is replayed from the beginning. If several orders
//! lead to the same state, the search continues from one of them only. States are compared by [`World::fingerprint`].

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
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

    /// Returns a number for the state. Two orders lead to the same state if each party took the same steps at the same
    /// times, and the steps that read or changed shared things had the same order.
    fn fingerprint(&self) -> u64;

    /// Checks the rules that hold at the end.
    fn end(self);

    /// Drops the world without a check.
    fn discard(self);
}

/// The limits of a search.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) states: usize,
    pub(crate) time: Duration,
}

/// An order that breaks a rule.
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

/// The result of a search.
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

/// A step that was taken, and the one before it.
struct Taken<S> {
    before: Option<usize>,
    step: S,
}

/// The steps that were taken, as a tree, and those that were not taken yet.
struct Tree<S> {
    taken: Vec<Taken<S>>,
    /// Each with the step before it.
    left: Vec<(Option<usize>, S)>,
}

impl<S: Copy> Tree<S> {
    /// Returns the order that ends with this step.
    fn order(&self, last: Option<usize>) -> Vec<S> {
        let taken = |at: usize| &self.taken[at];
        let all = std::iter::successors(last, |at| taken(*at).before);
        let mut steps: Vec<S> = all.map(|at| taken(at).step).collect();
        steps.reverse();
        steps
    }

    fn take(&mut self, before: Option<usize>, step: S) -> Option<usize> {
        self.taken.push(Taken { before, step });
        Some(self.taken.len() - 1)
    }

    /// Takes any step that was not taken yet. A step near the end of an order is as likely as one near its beginning, so a
    /// search that ends early has seen all kinds of orders.
    fn any_left(&mut self, run: usize) -> Option<(Option<usize>, S)> {
        let count = self.left.len().max(1) as u64;
        let chosen = usize::try_from(hash(run) % count).unwrap();
        (!self.left.is_empty()).then(|| self.left.swap_remove(chosen))
    }
}

/// Follows all orders of the world that `begin` creates, until a rule is broken or a limit is reached.
pub(crate) fn search<W: World>(begin: impl Fn() -> W, limits: Limits) -> Report<W::Step> {
    follow(begin, limits, None)
}

/// Looks for a shorter order that breaks the same rule, until all shorter orders are followed or the time is over.
pub(crate) fn shortest<W: World>(
    begin: impl Fn() -> W,
    known: Breach<W::Step>,
    time: Duration,
) -> Breach<W::Step> {
    let limits = Limits {
        states: usize::MAX,
        time,
    };
    let report = follow(begin, limits, Some(known));
    let breach = report.breach.expect("the known order is kept");
    Breach {
        is_shortest: report.is_complete,
        ..breach
    }
}

/// Follows all orders. With `known`, only those that are shorter than the last order that broke its rule.
fn follow<W: World>(
    begin: impl Fn() -> W,
    limits: Limits,
    known: Option<Breach<W::Step>>,
) -> Report<W::Step> {
    let start = Instant::now();
    let is_shortening = known.is_some();
    let mut seen = HashSet::new();
    let mut tree = Tree {
        taken: Vec::new(),
        left: Vec::new(),
    };
    let mut report = Report {
        states: 0,
        ends: 0,
        runs: 0,
        longest: 0,
        is_complete: false,
        time: Duration::ZERO,
        breach: known,
    };
    let mut last = None;
    loop {
        report.runs += 1;
        // Equal states have equal numbers of steps, so a state is too far in each order that leads to it.
        let bound = report.breach.as_ref().map(|known| known.steps.len());
        let is_too_far = |length| bound.is_some_and(|bound| length >= bound);
        let ran = caught(|| {
            let mut world = begin();
            let order = tree.order(last);
            order.iter().for_each(|step| world.take(*step));
            let mut length = order.len();
            while !is_too_far(length) && seen.insert(world.fingerprint()) {
                report.longest = report.longest.max(length);
                let mut options = world.options().into_iter();
                let Some(first) = options.next() else {
                    report.ends += 1;
                    return world.end();
                };
                tree.left.extend(options.map(|option| (last, option)));
                last = tree.take(last, first);
                world.take(first);
                length += 1;
            }
            world.discard();
        });
        if let Err(what) = ran {
            let steps = tree.order(last);
            let is_it = |known: &Breach<_>| {
                known.rule() == rule_in(&what) && steps.len() < known.steps.len()
            };
            if report.breach.as_ref().is_none_or(is_it) {
                report.breach = Some(Breach {
                    what,
                    steps,
                    is_shortest: false,
                });
            }
            if !is_shortening {
                break;
            }
        }
        let is_over = seen.len() >= limits.states || start.elapsed() >= limits.time;
        let Some((before, step)) = tree.any_left(report.runs) else {
            report.is_complete = true;
            break;
        };
        if is_over {
            break;
        }
        last = tree.take(before, step);
    }
    report.states = seen.len();
    report.time = start.elapsed();
    report
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
