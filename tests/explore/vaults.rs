//! Vaults with one store, one lock and one provider.

use std::fmt::Write;

use crate::Explored;
use crate::search::{World, hash};
use kit::world::Kind;
use kit::world::small::{Extent, Name, SmallWorld, Step};

pub(crate) struct Vaults {
    small: SmallWorld,
    /// A hash for each vault: its steps in their order, each with its time.
    histories: Vec<u64>,
    /// A hash of the steps that read or changed what vaults share, in their order.
    shared_history: u64,
}

impl World for Vaults {
    type Step = Step;

    fn options(&self) -> Vec<Step> {
        self.small.options()
    }

    fn take(&mut self, step: Step) {
        let before = self.small.shared_changes();
        self.small.take(step);
        let at = self.small.world.now.monotonic.0;
        let history = &mut self.histories[step.vault()];
        *history = hash((*history, step, at));
        // A vault may touch shared things while it handles a result of its own: it releases the lock, for instance.
        if step.is_shared() || before != self.small.shared_changes() {
            self.shared_history = hash((self.shared_history, step));
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut in_flight: Vec<_> = self.small.in_flight().collect();
        in_flight.sort_unstable();
        hash((
            &self.histories,
            self.shared_history,
            in_flight,
            self.small.left(),
        ))
    }

    fn end(self) {
        self.small.end();
    }

    fn discard(self) {
        self.small.discard();
    }
}

impl Explored for Vaults {
    type Extent = Extent;
    const IMPORTS: &str = "    use kit::world::small::{Extent, Name, SmallWorld, Step};
    use kit::world::{Endpoint, Kind};";

    fn new(extent: Extent) -> Self {
        Self {
            small: SmallWorld::new(extent),
            histories: vec![0; extent.vaults],
            shared_history: 0,
        }
    }

    fn describe(extent: Extent) -> String {
        let Extent {
            vaults,
            calls,
            faults,
            pauses,
            logs_out,
            logs_in,
        } = extent;
        let mut text = format!(
            "{vaults} vaults with one store, one lock and an expired token; calls of each: {calls}"
        );
        if faults > 0 {
            write!(text, "; faults: {faults}").unwrap();
        }
        if pauses > 0 {
            write!(text, "; pauses: {pauses}").unwrap();
        }
        if logs_out {
            text.push_str("; a logout at any moment");
        }
        if logs_in {
            text.push_str("; a login in flight");
        }
        text
    }

    fn code(step: Step) -> String {
        let name = |Name {
                        vault,
                        kind,
                        number,
                    }| match kind {
            Kind::Provider(endpoint) => {
                format!("Name::of({vault}, Kind::Provider(Endpoint::{endpoint:?}), {number})")
            }
            kind => format!("Name::of({vault}, Kind::{kind:?}, {number})"),
        };
        match step {
            Step::Acts(of) => format!("Step::Acts({})", name(of)),
            Step::Answers(of) => format!("Step::Answers({})", name(of)),
            Step::Fails(of) => format!("Step::Fails({})", name(of)),
            Step::Ends(_) | Step::LogsOut(_) | Step::Timer(_) => format!("Step::{step:?}"),
        }
    }
}
