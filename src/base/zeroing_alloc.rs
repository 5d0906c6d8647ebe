//! The allocator of the wasm modules: what is given back is wiped at once.
//!
//! Whatever holds a secret, or part of one, or a copy that was left behind when a text grew, is zeros as soon as
//! nobody owns it any more: that holds for all of the heap and rests on no type being remembered.
//!
//! Blocks are powers of two, each with a list of its own of those that are free, and blocks are never joined or
//! split. That wastes up to half of a block, and keeps what each size once had at most; a vault's limits bound both.
//! It takes constant time, and a third of a kilobyte of the download, where an allocator that joins blocks takes a
//! whole one.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::Layout;
use core::ptr;

/// Smallest block, as a power of two. Each block is aligned to it, which is more than any type here asks for.
const SMALLEST: u32 = 4;

/// Where blocks come from.
pub(crate) trait Memory {
    /// Makes the memory reach so far at least. Whether it does.
    fn reach(&mut self, end: *mut u8) -> bool;
}

/// Blocks that are free, and memory that never was a block.
pub(crate) struct Heap<M> {
    memory: M,
    /// Where no block is yet.
    top: *mut u8,
    /// By size: the first free block, which begins with where the next one is.
    free: [*mut u8; usize::BITS as usize],
}

/// The size of the block for `layout`, as a power of two.
const fn class(layout: Layout) -> u32 {
    let class = usize::BITS - layout.size().saturating_sub(1).leading_zeros();
    if class < SMALLEST { SMALLEST } else { class }
}

/// Whether what `layout` is of may grow or shrink to `size` where it is.
pub(crate) const fn has_room(layout: Layout, size: usize) -> bool {
    match Layout::from_size_align(size, layout.align()) {
        Ok(other) => class(layout) == class(other),
        Err(_) => false,
    }
}

impl<M: Memory> Heap<M> {
    /// A heap from `start` upwards, which is aligned as the smallest block is.
    pub(crate) const fn new(memory: M, start: *mut u8) -> Self {
        Self {
            memory,
            top: start,
            free: [ptr::null_mut(); usize::BITS as usize],
        }
    }

    /// A block, or null.
    pub(crate) fn allocate(&mut self, layout: Layout) -> *mut u8 {
        let class = class(layout);
        let first = self.free.get_mut(class as usize);
        let Some(first) = first.filter(|_| layout.align() <= 1 << SMALLEST) else {
            return ptr::null_mut();
        };
        let block = *first;
        if !block.is_null() {
            // SAFETY: it is this heap's, and begins with what `release` wrote there.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let (block, end) = (self.top, self.top.wrapping_add(1 << class));
        if end < block || !self.memory.reach(end) {
            return ptr::null_mut();
        }
        self.top = end;
        block
    }

    /// Takes a block back, and wipes it.
    ///
    /// # Safety
    /// It came from `allocate` with a layout of the same class, and nobody uses it any more.
    pub(crate) unsafe fn release(&mut self, block: *mut u8, layout: Layout) {
        let class = class(layout);
        if let Some(first) = self.free.get_mut(class as usize) {
            // SAFETY: it has that many bytes, which are those of a pointer at least, and is aligned for one.
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

    /// As much as there is.
    struct Limit(*mut u8);

    impl Memory for Limit {
        fn reach(&mut self, end: *mut u8) -> bool {
            end <= self.0
        }
    }

    /// Aligned as blocks have to be.
    struct Arena(Vec<u128>);

    impl Arena {
        fn heap(&mut self) -> Heap<Limit> {
            let range = self.0.as_mut_ptr_range();
            Heap::new(Limit(range.end.cast()), range.start.cast())
        }
    }

    fn arena(bytes: usize) -> Arena {
        Arena(vec![0; bytes / 16])
    }

    fn of(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    fn written(heap: &mut Heap<Limit>, layout: Layout, octet: u8) -> *mut u8 {
        let block = heap.allocate(layout);
        assert!(!block.is_null());
        unsafe { block.write_bytes(octet, layout.size()) };
        block
    }

    fn octets(block: *mut u8, from: usize, to: usize) -> Vec<u8> {
        (from..to).map(|i| unsafe { block.add(i).read() }).collect()
    }

    #[test]
    fn what_is_given_back_is_wiped_at_once_but_for_the_place_of_the_next() {
        let mut arena = arena(4096);
        let mut heap = arena.heap();
        for size in [1, 15, 16, 17, 100, 1000] {
            let block = written(&mut heap, of(size), 0xAA);
            unsafe { heap.release(block, of(size)) };
            let word = size_of::<*mut u8>();
            assert!(octets(block, word, size.max(word)).iter().all(|&o| o == 0));
            assert_eq!(
                octets(block, 0, word),
                vec![0; word],
                "the only one of its size"
            );
        }
    }

    #[test]
    fn a_block_that_was_given_back_is_the_next_of_its_size() {
        let mut arena = arena(4096);
        let mut heap = arena.heap();
        let (a, b) = (heap.allocate(of(40)), heap.allocate(of(64)));
        unsafe {
            heap.release(a, of(40));
            heap.release(b, of(64));
        }
        assert_eq!(heap.allocate(of(33)), b);
        assert_eq!(heap.allocate(of(50)), a);
        assert!(![a, b].contains(&heap.allocate(of(64))));
    }

    #[test]
    fn blocks_in_use_never_overlap_and_keep_what_is_in_them() {
        let mut arena = arena(1 << 20);
        let mut heap = arena.heap();
        let mut dice = 0x2545_F491_4F6C_DD1D_u64;
        let mut in_use = Vec::new();
        for turn in 0..20_000_u32 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice.is_multiple_of(3) && !in_use.is_empty() {
                let i = (dice >> 8) as usize % in_use.len();
                let (block, layout, octet) = in_use.swap_remove(i);
                assert!(
                    octets(block, 0, Layout::size(&layout))
                        .iter()
                        .all(|o| o == &octet)
                );
                unsafe { heap.release(block, layout) };
            } else if in_use.len() < 200 {
                let layout = of(1 + (dice >> 16) as usize % 2000);
                let octet = turn as u8;
                in_use.push((written(&mut heap, layout, octet), layout, octet));
            }
        }
    }

    #[test]
    fn where_there_is_no_more_memory_there_is_none_and_what_there_was_is_left() {
        let mut arena = arena(64);
        let mut heap = arena.heap();
        assert!(heap.allocate(of(65)).is_null());
        let block = heap.allocate(of(64));
        assert!(heap.allocate(of(1)).is_null());
        unsafe { heap.release(block, of(64)) };
        assert_eq!(heap.allocate(of(64)), block);
    }

    #[test]
    fn what_can_never_be_had_is_null() {
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
    fn a_block_has_room_for_what_is_of_the_same_power_of_two() {
        assert!(has_room(of(33), 64) && has_room(of(64), 33) && has_room(of(1), 16));
        assert!(!has_room(of(64), 65) && !has_room(of(64), 32) && !has_room(of(1), usize::MAX));
    }
}
