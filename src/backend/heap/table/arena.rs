//! Memory of pages: blocks of up to 2 MiB, cut into pages; pages that are given back are used again
//! first, while they are warm and need no page fault.
//!
//! A block goes back to the allocator with the table and the last of its captures. Blocks double
//! from one page, so that a small table is small.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How large a block may be.
const BLOCK_LEN_BYTES: usize = 2 << 20;

/// The blocks of a table and its captures, and the pages given back on any thread.
pub(super) struct Arena {
    page: Layout,
    /// A list linked through the pages' first bytes.
    returned: AtomicPtr<u8>,
    blocks: Mutex<Vec<(*mut u8, Layout)>>,
}

// SAFETY: the list is only pushed to and taken as a whole, atomically; the blocks are behind a lock
// and freed by the last owner.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Takes back a page.
    ///
    /// # Safety
    /// [`Pages::take`] of this arena gave it out, and nobody uses it any more.
    pub(super) unsafe fn give_back(&self, page: *mut u8) {
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: the page is the caller's, aligned for a pointer and no shorter.
            unsafe { page.cast::<*mut u8>().write(head) };
            // Release: who takes the list sees the link, and the caller is done with the page.
            match self.returned.compare_exchange_weak(
                head,
                page,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for (block, layout) in
            self.blocks.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..)
        {
            // SAFETY: it was allocated with this layout; no table or capture is left to use it.
            unsafe { dealloc(block, layout) };
        }
    }
}

/// The pages that a table may take; it alone takes.
pub(super) struct Pages {
    arena: Arc<Arena>,
    /// Pages taken over from `returned`, in a list of the same kind.
    warm: *mut u8,
    /// What is left of the newest block.
    rest: *mut u8,
    rest_len: usize,
    /// How many pages the next block has.
    next_len: usize,
}

impl Pages {
    /// No page yet, all of one layout (aligned to 16 bytes or more, its length a multiple of that).
    pub(super) fn new(page: Layout) -> Self {
        let returned = AtomicPtr::new(ptr::null_mut());
        let arena = Arc::new(Arena { page, returned, blocks: Mutex::new(Vec::new()) });
        let (warm, rest) = (ptr::null_mut(), ptr::null_mut());
        Self { arena, warm, rest, rest_len: 0, next_len: 1 }
    }

    /// Where pages go back to.
    #[inline]
    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// A page, with anything in it.
    pub(super) fn take(&mut self) -> *mut u8 {
        if self.warm.is_null() {
            // Acquire: pairs with the release of those who gave the pages back.
            self.warm = self.arena.returned.swap(ptr::null_mut(), Ordering::Acquire);
        }
        let page = self.warm;
        if !page.is_null() {
            // SAFETY: a page in the list starts with the link to the next one.
            self.warm = unsafe { page.cast::<*mut u8>().read() };
            return page;
        }
        if self.rest_len == 0 {
            self.add_block();
        }
        let page = self.rest;
        self.rest_len -= 1;
        // SAFETY: the block has `rest_len` more pages, so this is its end at most.
        self.rest = unsafe { page.add(self.arena.page.size()) };
        page
    }

    #[cold]
    fn add_block(&mut self) {
        let page = self.arena.page;
        let len = self.next_len;
        let layout = match Layout::from_size_align(page.size() * len, page.align()) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(page),
        };
        // SAFETY: a page's length is not 0.
        let block = unsafe { alloc(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        let blocks = &self.arena.blocks;
        blocks.lock().unwrap_or_else(PoisonError::into_inner).push((block, layout));
        (self.rest, self.rest_len) = (block, len);
        self.next_len = (2 * len).min(BLOCK_LEN_BYTES / page.size()).max(1);
    }
}
