//! What a `no_std` module needs of its own: an allocator, and what happens on a panic.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;

use crate::base::zeroing_alloc::{self, Heap, Memory};

/// This module's memory, which only grows.
struct Pages;

impl Memory for Pages {
    fn reach(&mut self, end: *mut u8) -> bool {
        let missing = end
            .addr()
            .div_ceil(65_536)
            .saturating_sub(wasm32::memory_size::<0>());
        wasm32::memory_grow::<0>(missing) != usize::MAX
    }
}

struct Allocator(UnsafeCell<Heap<Pages>>);

// SAFETY: there are no threads.
unsafe impl Sync for Allocator {}

// SAFETY: blocks are as large as `layout` says at least, aligned to 16, and in use once at a time.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there are no threads, and the heap calls nothing that comes back here.
        unsafe { (*self.0.get()).allocate(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the caller has the block from here.
        unsafe { (*self.0.get()).release(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if zeroing_alloc::has_room(layout, size) {
            return block;
        }
        // SAFETY: the caller has made sure that this is a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: both blocks have that many bytes, and are not the same.
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
    /// Where the linker has put nothing any more. It aligns that to 16.
    static __heap_base: u8;
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Heap::new(
    Pages,
    (&raw const __heap_base).cast_mut(),
)));

/// A panic is a trap, and a trap is the end of the vault: the worker's wrapper tells every page and
/// wipes the memory. Nothing is said of the cause, since a message might quote a secret; that the
/// message is never formatted also keeps the formatting code out of the module.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
