//! A store that never responds: the vault stops waiting after the time limit for provider requests.

use std::time::Duration;

use kit::world::{EXCHANGE, Kind, PageResponse, World};

const ALMOST: Duration = Duration::from_millis(9_999);
const THE_REST: Duration = Duration::from_millis(1);

#[test]
fn unstored_login_times_out() {
    for (config, seconds) in [("{}", 10), (r#"{"requestTimeout":3}"#, 3)] {
        let mut world = World::with(config);
        let page = world.open();
        world.hold(&[Kind::Store]);
        let login = world.login(page, "redirect");
        world.answer_all();
        world.pass_time(Duration::from_secs(seconds) - THE_REST);
        assert_eq!(world.response(login), None, "{config}");
        world.pass_time(THE_REST);
        assert_eq!(world.code(login), "storage_unavailable", "{config}");
        world.release();
        assert_eq!(world.responses(login).len(), 1, "{config}");
    }
}

#[test]
fn stuck_store_falls_back_to_memory() {
    for mode in ["redirect", "popup"] {
        let mut world = World::new();
        let page = world.open();
        let address = world.begin_login(page, mode);
        let response = world.provider.sign_in(&address);
        world.hold(&[Kind::Take]);
        let callback = world.callback(page, &response);
        world.answer_all();
        world.pass_time(ALMOST);
        assert_eq!(world.response(callback), None, "{mode}");
        world.pass_time(THE_REST);
        world.answer_all();
        let settled = world.response(callback);
        assert!(
            matches!(settled, Some(PageResponse::Settled { .. })),
            "{mode}"
        );
        // The vault ignores the late response of the store.
        world.release();
        assert_eq!(world.responses(callback).len(), 1, "{mode}");
        assert_eq!(world.count(EXCHANGE), 1, "{mode}");
    }
}

#[test]
fn callback_without_store_or_memory_times_out() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.restart();
    let page = world.open();
    world.hold(&[Kind::Take]);
    let callback = world.callback(page, &response);
    world.answer_all();
    world.pass_time(ALMOST);
    assert_eq!(world.response(callback), None);
    world.pass_time(THE_REST);
    assert_eq!(world.code(callback), "login_unknown");
    world.release();
    assert!(world.session(page).is_none());
}
