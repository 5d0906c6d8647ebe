//! A request of a page to an API.
use crate::world::*;
#[test]
fn smoke() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/orders");
    world.settle();
    assert_eq!(world.status(call), 200);
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.settle();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 1);
}
