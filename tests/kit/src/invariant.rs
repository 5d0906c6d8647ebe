//! Invariants, each with a name for the command line and a sentence that describes it.

/// Defines the enum `Invariant` of a world: each variant with its name and its sentence.
#[macro_export]
macro_rules! invariants {
    ($($variant:ident = $name:literal, $sentence:literal;)+) => {
        /// A rule that must always hold in a simulated world. The vault's world and the world of isolates each have their own
        /// rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant { $($variant,)+ }

        impl Invariant {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name for the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// Stops the test because the rule is broken.
            #[track_caller]
            pub fn is_broken(self, detail: impl ::std::fmt::Display) -> ! {
                panic!("{}: {}: {detail}", self.name(), self.sentence())
            }

            #[track_caller]
            pub fn holds_if(self, holds: bool, detail: impl FnOnce() -> String) {
                if !holds {
                    self.is_broken(detail());
                }
            }
        }
    };
}
