//! The allocator of the wasm modules, which zeroes freed memory at once.
//!
//! All heap memory is zeroed when it is freed: secrets, parts of secrets, and the copies left behind when a string
//! grows. The allocator does not need to know the types of the values, so no type can be forgotten.
//!
//! The size of a block is a power of two. Each size has its own free list, and blocks are never joined or split.
//! Rounding wastes up to half of a block, and more of the smallest blocks. Freed blocks serve only requests of their
//! own size, so for each size the allocator keeps as many blocks as were ever in use at once. The limits of the core
//! bound both kinds of waste. The search for a block takes constant time, and the allocator's code takes a third of a
//! kilobyte of the download. The code of an allocator that joins free blocks would take a whole kilobyte.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::Layout;
use core::ptr;

/// The size of the smallest block: 2 to the power of this number. Blocks are aligned to this size, which suffices for
/// all types of the core.
const SMALLEST: u32 = 4;

/// The memory that blocks are taken from.
pub(crate) trait LinearMemory {
    /// Grows the memory to at least `end`. Returns false if the memory cannot grow.
    fn grow_to(&mut self, end: *mut u8) -> bool;
}

/// The free blocks, and the memory that has never been a block.
pub(crate) struct ZeroingAllocator<M> {
    memory: M,
    /// The start of the memory that has never been a block.
    top: *mut u8,
    /// The first free block of each size. A free block starts with a pointer to the next one.
    free: [*mut u8; usize::BITS as usize],
}

/// Returns the size class of the block for `layout`. The block has 2 to the power of this number bytes.
const fn size_class(layout: Layout) -> u32 {
    let class = usize::BITS - layout.size().saturating_sub(1).leading_zeros();
    if class < SMALLEST { SMALLEST } else { class }
}

/// Returns true if a block for `layout` can be resized to `size` without a move.
pub(crate) const fn fits_in_place(layout: Layout, size: usize) -> bool {
    match Layout::from_size_align(size, layout.align()) {
        Ok(other) => size_class(layout) == size_class(other),
        Err(_) => false,
    }
}

impl<M: LinearMemory> ZeroingAllocator<M> {
    /// Creates an allocator of the memory from `start` upwards. `start` must be aligned to the smallest block.
    pub(crate) const fn new(memory: M, start: *mut u8) -> Self {
        Self {
            memory,
            top: start,
            free: [ptr::null_mut(); usize::BITS as usize],
        }
    }

    /// Returns a block for `layout`, or null if there is not enough memory.
    pub(crate) fn allocate(&mut self, layout: Layout) -> *mut u8 {
        let class = size_class(layout);
        let first = self.free.get_mut(class as usize);
        let Some(first) = first.filter(|_| layout.align() <= 1 << SMALLEST) else {
            return ptr::null_mut();
        };
        let block = *first;
        if !block.is_null() {
            // SAFETY: the block is in a free list, so `deallocate` wrote a pointer to its start.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let (block, end) = (self.top, self.top.wrapping_add(1 << class));
        if end < block || !self.memory.grow_to(end) {
            return ptr::null_mut();
        }
        self.top = end;
        block
    }

    /// Frees a block and zeroes it.
    ///
    /// # Safety
    /// The block must come from `allocate` with a layout of the same size class, and must not be used afterwards.
    pub(crate) unsafe fn deallocate(&mut self, block: *mut u8, layout: Layout) {
        let class = size_class(layout);
        if let Some(first) = self.free.get_mut(class as usize) {
            // SAFETY: the block has that many bytes, which is enough for a pointer, and it is aligned for one.
            unsafe {
                block.write_bytes(0, 1 << class);
                block.cast::<*mut u8>().write(*first);
            }
            *first = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that ends at this address.
    struct Limit(*mut u8);

    impl LinearMemory for Limit {
        fn grow_to(&mut self, end: *mut u8) -> bool {
            end <= self.0
        }
    }

    /// Memory with the alignment of blocks.
    struct Arena(Vec<u128>);

    impl Arena {
        fn heap(&mut self) -> ZeroingAllocator<Limit> {
            let range = self.0.as_mut_ptr_range();
            ZeroingAllocator::new(Limit(range.end.cast()), range.start.cast())
        }
    }

    fn arena(bytes: usize) -> Arena {
        Arena(vec![0; bytes / 16])
    }

    fn layout_of(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    fn written(heap: &mut ZeroingAllocator<Limit>, layout: Layout, byte: u8) -> *mut u8 {
        let block = heap.allocate(layout);
        assert!(!block.is_null());
        unsafe { block.write_bytes(byte, layout.size()) };
        block
    }

    fn bytes(block: *mut u8, from: usize, to: usize) -> Vec<u8> {
        (from..to).map(|i| unsafe { block.add(i).read() }).collect()
    }

    // claim: script-14
    #[test]
    fn freed_blocks_are_zeroed_except_the_link() {
        let mut arena = arena(4096);
        let mut heap = arena.heap();
        for size in [1, 15, 16, 17, 100, 1000] {
            let block = written(&mut heap, layout_of(size), 0xAA);
            unsafe { heap.deallocate(block, layout_of(size)) };
            let word = size_of::<*mut u8>();
            assert!(bytes(block, word, size.max(word)).iter().all(|&b| b == 0));
            assert_eq!(
                bytes(block, 0, word),
                vec![0; word],
                "the only one of its size"
            );
        }
    }

    #[test]
    fn freed_block_is_reused_first() {
        let mut arena = arena(4096);
        let mut heap = arena.heap();
        let (a, b) = (heap.allocate(layout_of(40)), heap.allocate(layout_of(64)));
        unsafe {
            heap.deallocate(a, layout_of(40));
            heap.deallocate(b, layout_of(64));
        }
        assert_eq!(heap.allocate(layout_of(33)), b);
        assert_eq!(heap.allocate(layout_of(50)), a);
        assert!(![a, b].contains(&heap.allocate(layout_of(64))));
    }

    #[test]
    fn allocated_blocks_keep_their_contents() {
        let mut arena = arena(1 << 20);
        let mut heap = arena.heap();
        let mut dice = 0x2545_F491_4F6C_DD1D_u64;
        let mut in_use = Vec::new();
        // Miri runs this test about a thousand times slower.
        let turns = if cfg!(miri) { 60 } else { 20_000_u32 };
        for turn in 0..turns {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice.is_multiple_of(3) && !in_use.is_empty() {
                let i = (dice >> 8) as usize % in_use.len();
                let (block, layout, byte) = in_use.swap_remove(i);
                assert!(
                    bytes(block, 0, Layout::size(&layout))
                        .iter()
                        .all(|b| b == &byte)
                );
                unsafe { heap.deallocate(block, layout) };
            } else if in_use.len() < 200 {
                let layout = layout_of(1 + (dice >> 16) as usize % 2000);
                let byte = turn as u8;
                in_use.push((written(&mut heap, layout, byte), layout, byte));
            }
        }
    }

    #[test]
    fn exhausted_allocator_returns_null_and_stays_usable() {
        let mut arena = arena(64);
        let mut heap = arena.heap();
        assert!(heap.allocate(layout_of(65)).is_null());
        let block = heap.allocate(layout_of(64));
        assert!(heap.allocate(layout_of(1)).is_null());
        unsafe { heap.deallocate(block, layout_of(64)) };
        assert_eq!(heap.allocate(layout_of(64)), block);
    }

    #[test]
    fn impossible_layouts_return_null() {
        let mut arena = arena(64);
        let mut heap = arena.heap();
        assert!(
            heap.allocate(Layout::from_size_align(1, 4096).unwrap())
                .is_null()
        );
        let most = isize::MAX as usize;
        assert!(
            heap.allocate(Layout::from_size_align(most, 1).unwrap())
                .is_null()
        );
    }

    #[test]
    fn blocks_resize_within_their_size_class() {
        assert!(
            fits_in_place(layout_of(33), 64)
                && fits_in_place(layout_of(64), 33)
                && fits_in_place(layout_of(1), 16)
        );
        assert!(
            !fits_in_place(layout_of(64), 65)
                && !fits_in_place(layout_of(64), 32)
                && !fits_in_place(layout_of(1), usize::MAX)
        );
    }
}
