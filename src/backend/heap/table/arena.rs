//! Memory of ordinary pages: blocks of about 2 MiB, in which the pages' control bytes stand side by
//! side, then their heads, then their entries.
//!
//! ```text
//! control bytes of all pages | heads of all pages | entries of all pages
//! ```
//!
//! So control bytes are as dense as those of a flat table and stay in the cache, and a group's
//! entries are found by arithmetic from where its control bytes are: a block starts at a multiple
//! of 2 MiB. Pages given back are used again first, while they are warm and need no page fault; a
//! block goes back to the allocator with the table and the last of its captures.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Blocks start at a multiple of this, and are about as long.
pub(super) const BLOCK_ALIGN: usize = 2 << 20;
/// What a page's head and its bits per slot take.
pub(super) const HEAD_LEN_BYTES: usize = 64;

/// What a block looks like; the same for all blocks of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    /// Bytes of control bytes of one page.
    pub(super) ctrl_len: usize,
    /// How many pages there are.
    pub(super) pages: usize,
    pub(super) heads_offset: usize,
    pub(super) entries_offset: usize,
    pub(super) len: usize,
}

impl BlockShape {
    /// As many pages as fit, at least one; entries are aligned to `align`, at most 2 MiB.
    pub(super) const fn new(ctrl_len: usize, entries_len: usize, align: usize) -> Self {
        let page = ctrl_len + HEAD_LEN_BYTES + entries_len;
        let fit = (BLOCK_ALIGN - HEAD_LEN_BYTES - align % BLOCK_ALIGN) / page;
        let pages = if fit == 0 { 1 } else { fit };
        let heads_offset = (pages * ctrl_len).next_multiple_of(HEAD_LEN_BYTES);
        let entries_offset = (heads_offset + pages * HEAD_LEN_BYTES).next_multiple_of(align);
        let len = entries_offset + pages * entries_len;
        Self { ctrl_len, pages, heads_offset, entries_offset, len }
    }
}

/// The blocks of a table and its captures, and the pages given back on any thread.
pub(super) struct Arena {
    shape: BlockShape,
    /// A list of pages, each linked to the next through its head.
    returned: AtomicPtr<u8>,
    blocks: Mutex<Vec<(*mut u8, Layout)>>,
}

// SAFETY: the list is only pushed to and taken as a whole, atomically; the blocks are behind a lock
// and freed by the last owner.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Where the link of a page in a list is.
    unsafe fn link(&self, page: *mut u8) -> *mut *mut u8 {
        // SAFETY: the caller's page is one of this arena's, so that its head is in the block.
        unsafe { head(page, &self.shape).cast() }
    }

    /// Takes back a page.
    ///
    /// # Safety
    /// [`Pages::take`] of this arena gave it out, and nobody uses it any more.
    pub(super) unsafe fn give_back(&self, page: *mut u8) {
        let mut first = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: the page is the caller's; its head is aligned for a pointer.
            unsafe { self.link(page).write(first) };
            // Release: who takes the list sees the link, and the caller is done with the page.
            let swapped = self.returned.compare_exchange_weak(
                first,
                page,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }
}

/// Where a page's head is, from where its control bytes are.
#[inline]
pub(super) unsafe fn head(page: *mut u8, shape: &BlockShape) -> *mut u8 {
    let in_block = page.addr() % BLOCK_ALIGN;
    // SAFETY: the caller's page is in a block of this shape, which starts at a multiple.
    unsafe {
        page.sub(in_block).add(shape.heads_offset + in_block / shape.ctrl_len * HEAD_LEN_BYTES)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let blocks = self.blocks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (block, layout) in blocks.drain(..) {
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
    pooled: bool,
}

impl Pages {
    /// No page yet; whether pages come from blocks at all.
    pub(super) fn new(shape: BlockShape, pooled: bool) -> Self {
        let returned = AtomicPtr::new(ptr::null_mut());
        let arena = Arc::new(Arena { shape, returned, blocks: Mutex::new(Vec::new()) });
        let (warm, rest) = (ptr::null_mut(), ptr::null_mut());
        Self { arena, warm, rest, rest_len: 0, pooled }
    }

    /// Whether pages come from blocks.
    #[inline]
    pub(super) fn are_pooled(&self) -> bool {
        self.pooled
    }

    /// Where pages go back to.
    #[inline]
    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// A page, with anything in it: the address of its control bytes.
    pub(super) fn take(&mut self) -> *mut u8 {
        if self.warm.is_null() {
            // Acquire: pairs with the release of those who gave the pages back.
            self.warm = self.arena.returned.swap(ptr::null_mut(), Ordering::Acquire);
        }
        let page = self.warm;
        if !page.is_null() {
            // SAFETY: a page in the list is linked to the next one.
            self.warm = unsafe { self.arena.link(page).read() };
            return page;
        }
        if self.rest_len == 0 {
            self.add_block();
        }
        let page = self.rest;
        self.rest_len -= 1;
        // SAFETY: the block has `rest_len` more pages.
        self.rest = unsafe { page.add(self.arena.shape.ctrl_len) };
        page
    }

    #[cold]
    fn add_block(&mut self) {
        let shape = &self.arena.shape;
        let layout = match Layout::from_size_align(shape.len, BLOCK_ALIGN) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<u8>()),
        };
        // SAFETY: a block's length is not 0: it has heads.
        let block = unsafe { alloc(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        let blocks = &self.arena.blocks;
        blocks.lock().unwrap_or_else(PoisonError::into_inner).push((block, layout));
        (self.rest, self.rest_len) = (block, shape.pages);
    }
}
