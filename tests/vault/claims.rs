//! What tests of claims share: members of a response, the claims that a page sees, and a login that the profile fails.

use kit::world::World;
use vault::PortId;

pub(crate) use crate::both::object;

/// Returns the claims in the session that a page sees, as JSON.
#[track_caller]
pub(crate) fn claims(world: &World, page: PortId) -> String {
    let session = world.session(page).expect("there is a session");
    let mut text = String::new();
    session.get("claims").unwrap().write(&mut text);
    text
}

/// Signs in, and returns the error's message. Checks that the issued tokens are revoked.
#[track_caller]
pub(crate) fn refused(world: &mut World) -> String {
    let page = world.open();
    let login = world.sign_in(page);
    assert_eq!(world.code(login), "profile_failed");
    assert!(world.session(page).is_none());
    assert!(world.provider.has_revoked_everything());
    world.error_message(login).to_owned()
}
