//! Witnesses of capabilities: parts of the core that not every module contains.
//!
//! A capability has a type that has values only in builds that contain the capability. Whatever belongs to the
//! capability carries such a value, for example a variant of an enum. In a build without the capability such a variant
//! cannot exist, so the compiler removes it, and all code behind it, without another `cfg`.
//!
//! The type of a capability may contain data. In a build without the capability it has no size, so an `Option` of it
//! has no size either. `Box`, `Rc`, `Vec` and references to a type without values have values, so they must be inside:
//! `Dpop<Rc<T>>`, not `Rc<Dpop<T>>`.

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident: $feature:literal,)+) => {$(
        $(#[$doc])*
        #[cfg(feature = $feature)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T = ()>(T);

        $(#[$doc])*
        #[cfg(not(feature = $feature))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T = ()>(core::convert::Infallible, core::marker::PhantomData<T>);

        #[cfg(feature = $feature)]
        impl $name {
            /// The witness, if this build has the capability.
            pub const WITNESS: Option<Self> = Some(Self::HERE);
            /// The witness. Only code of the capability itself uses this constant.
            pub(crate) const HERE: Self = Self(());

            /// Adds data to the witness.
            pub fn with<T>(self, data: T) -> $name<T> {
                $name(data)
            }
        }

        #[cfg(not(feature = $feature))]
        impl $name {
            /// The witness, if this build has the capability.
            pub const WITNESS: Option<Self> = None;

            /// Adds data to the witness.
            pub fn with<T>(self, _: T) -> $name<T> {
                match self.0 {}
            }
        }

        impl<T> $name<T> {
            /// Returns the data.
            #[must_use]
            pub fn into_data(self) -> T {
                #[cfg(feature = $feature)]
                return self.0;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }

            /// Returns the witness without the data.
            #[must_use]
            pub const fn witness(&self) -> $name {
                #[cfg(feature = $feature)]
                return $name::HERE;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }
        }

        impl<T> core::ops::Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                #[cfg(feature = $feature)]
                return &self.0;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }
        }
    )+

        /// Returns the name of each capability, and whether this build has it.
        pub fn all() -> impl Iterator<Item = (&'static str, bool)> {
            [$((stringify!($name), $name::WITNESS.is_some())),+].into_iter()
        }
    };
}

capabilities! {
    /// Further signing algorithms of ID tokens.
    Algorithms: "extended",
    /// Logins on another device (RFC 8628).
    DeviceLogin: "extended",
    /// Tokens that are bound to a key (RFC 9449).
    Dpop: "extended",
    /// The session inspector.
    Inspector: "extended",
    /// Options of logins that few providers need.
    LoginOptions: "extended",
    /// The provider's metadata in the configuration.
    Metadata: "extended",
    /// The reason why the provider ends a session.
    Reasons: "extended",
    /// Access tokens of their own for single APIs (RFC 8707).
    ResourceTokens: "extended",
    /// Further options of API rules.
    RuleOptions: "extended",
    /// WebSocket connections to APIs.
    Sockets: "extended",
    /// Stronger or more recent authentication, when an API asks for it (RFC 9470).
    StepUp: "extended",
    /// Sessions that outlive the vault's worker.
    StoredSessions: "extended",
}
