//! What a `no_std` module needs of its own: an allocator, and what happens on a panic.

use core::panic::PanicInfo;

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// A panic is a trap, and a trap is the end of the vault: the worker's wrapper tells every page and
/// wipes the memory. Nothing is said of the cause, since a message might quote a secret; that the
/// message is never formatted also keeps the formatting code out of the module.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
