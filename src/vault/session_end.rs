//! The end of a session: by logout, by a limit, or by the provider. The session ends at once and in all vaults; the
//! revocation of its refresh token (RFC 7009) follows and may fail.

pub(super) mod limits;
pub(super) mod logout;
pub(super) mod revocation;
