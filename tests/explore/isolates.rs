//! Isolates of the token handler with one coordinator and one provider.

use std::fmt::Write;

use crate::Explored;
use crate::search::{World, hash};
use kit_isolates::Site;
use kit_isolates::small::{Extent, Kind, Name, SmallWorld, Step};

pub(crate) struct Isolates {
    small: SmallWorld,
    /// A hash for each isolate: its steps in their order, each with its time.
    histories: Vec<u64>,
    /// A hash of the steps that read or changed what isolates share, in their order.
    shared_history: u64,
}

impl World for Isolates {
    type Step = Step;

    fn options(&self) -> Vec<Step> {
        self.small.options()
    }

    fn take(&mut self, step: Step) {
        self.small.take(step);
        let history = &mut self.histories[step.isolate()];
        *history = hash((*history, step, self.small.world.now));
        if step.is_shared() {
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

    fn discard(self) {}
}

impl Explored for Isolates {
    type Extent = Extent;
    const IMPORTS: &str = "    use kit_isolates::Site;
    use kit_isolates::provider::Endpoint;
    use kit_isolates::small::{Extent, Kind, Name, ReplyKind, SmallWorld, Step};";

    fn new(extent: Extent) -> Self {
        Self {
            small: SmallWorld::new(extent),
            histories: vec![0; extent.isolates],
            shared_history: 0,
        }
    }

    fn describe(extent: Extent) -> String {
        let Extent {
            isolates,
            requests,
            faults,
            pauses,
            has_leeway,
            logs_out,
            has_clocks_apart,
        } = extent;
        let mut text = format!(
            "{isolates} isolates with one coordinator and an expired token; requests: {requests}"
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
        if has_leeway {
            text.push_str("; a leeway");
        }
        if has_clocks_apart {
            text.push_str("; clocks 10 s apart");
        }
        text
    }

    fn code(step: Step) -> String {
        match step {
            Step::Runs(of) => format!("Step::Runs({})", name(of)),
            Step::Loses(of) => format!("Step::Loses({})", name(of)),
            Step::Cuts(of) => format!("Step::Cuts({})", name(of)),
            Step::Ends(_) | Step::Pauses(_) | Step::LogsOut(_) => format!("Step::{step:?}"),
        }
    }
}

fn name(
    Name {
        isolate,
        kind,
        number,
    }: Name,
) -> String {
    let kind = match kind {
        Kind::Acts(Site::Provider(endpoint)) => {
            format!("Kind::Acts(Site::Provider(Endpoint::{endpoint:?}))")
        }
        Kind::Acts(site) => format!("Kind::Acts(Site::{site:?})"),
        Kind::Reply(answer) => format!("Kind::Reply(ReplyKind::{answer:?})"),
        kind => format!("Kind::{kind:?}"),
    };
    format!("Name::of({isolate}, {kind}, {number})")
}
