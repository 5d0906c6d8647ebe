//! The allocator and the panic handler, which a `no_std` module must provide.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;

use crate::zeroing_alloc::{self, LinearMemory, ZeroingAllocator};

/// The memory of this wasm module, which can only grow.
struct WasmMemory;

impl LinearMemory for WasmMemory {
    fn grow_to(&mut self, end: *mut u8) -> bool {
        let missing = end
            .addr()
            .div_ceil(65_536)
            .saturating_sub(wasm32::memory_size::<0>());
        wasm32::memory_grow::<0>(missing) != usize::MAX
    }
}

struct GlobalAllocator(UnsafeCell<ZeroingAllocator<WasmMemory>>);

// SAFETY: there are no threads.
unsafe impl Sync for GlobalAllocator {}

// SAFETY: a block is at least as large as its layout, aligned to 16 bytes, and never handed out twice at a time.
unsafe impl GlobalAlloc for GlobalAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there are no threads, and the allocator does not call itself.
        unsafe { (*self.0.get()).allocate(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above. The caller got the block from `alloc`.
        unsafe { (*self.0.get()).deallocate(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if zeroing_alloc::fits_in_place(layout, size) {
            return block;
        }
        // SAFETY: the caller guarantees that the size is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: both blocks have that many bytes, and they do not overlap.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

unsafe extern "C" {
    /// The end of the linked data, which the linker aligns to 16 bytes.
    static __heap_base: u8;
}

#[global_allocator]
static ALLOCATOR: GlobalAllocator = GlobalAllocator(UnsafeCell::new(ZeroingAllocator::new(
    WasmMemory,
    (&raw const __heap_base).cast_mut(),
)));

/// Turns a panic into a trap. In a vault, the trap ends the vault: the JavaScript that runs the vault notifies the
/// pages and wipes the memory. The panic message is dropped because it could quote a secret. Dropping the message also
/// keeps the formatting code out of the module.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
