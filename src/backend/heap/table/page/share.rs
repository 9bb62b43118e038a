//! Sharing a page: counted references, and copies.

use super::super::arena::{Arena, HEAD_LEN_BYTES, Pages};
use super::super::group::{CTRL_LEN_BYTES, WIDTH};
use super::find::prefetch;
use super::{Entry, Page};
use std::alloc::dealloc;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

const CACHE_LINE_LEN_BYTES: usize = 64;

impl<K, V> Page<K, V> {
    /// Asks for the cache line that holds the count of references.
    #[inline]
    pub(in super::super) unsafe fn prefetch_refs(self) {
        // SAFETY: the page is live.
        prefetch(unsafe { self.head() });
    }

    /// Asks for the cache lines of head and control bytes.
    #[inline]
    pub(in super::super) fn prefetch_groups(self) {
        if !self.is_large() {
            for offset in (0..CTRL_LEN_BYTES << Self::LOG2_GROUPS).step_by(CACHE_LINE_LEN_BYTES) {
                prefetch(self.ctrl().wrapping_add(offset));
            }
            // SAFETY: an ordinary page's head is found by its address alone.
            prefetch(unsafe { self.head() });
        }
    }

    /// Asks for the entries that changed.
    #[inline]
    pub(in super::super) unsafe fn prefetch_dirty(self) {
        if self.is_large() {
            return;
        }
        for at in 0..1 << Self::LOG2_GROUPS {
            // SAFETY: the page is live, the groups inside it, their slots too.
            unsafe {
                for i in self.dirty(at) {
                    prefetch(self.entry(at * 16 + i));
                }
            }
        }
    }

    /// Adds a reference.
    pub(in super::super) unsafe fn retain(self) {
        // SAFETY: the page is live. Relaxed as in `Arc`: a new reference comes from an existing one.
        unsafe { (*self.head()).refs.fetch_add(1, Ordering::Relaxed) };
    }

    /// Whether the caller's reference is the only one.
    pub(in super::super) unsafe fn is_unique(self) -> bool {
        // SAFETY: the page is live. Acquire: what the last other holder did is over.
        unsafe { (*self.head()).refs.load(Ordering::Acquire) == 1 }
    }

    /// Gives up the caller's reference, and drops page and entries if it was the last.
    pub(in super::super) unsafe fn release(self, arena: &Arena) {
        // SAFETY: the page is live until the count falls to zero; then nobody else can reach it,
        // and the fence orders their reads before the drops (as in `Arc`). Memory goes last: an
        // entry whose drop panics leaks the rest.
        unsafe {
            if (*self.head()).refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            if std::mem::needs_drop::<Entry<K, V>>() {
                for slot in self.slots() {
                    ptr::drop_in_place(self.entry(slot));
                }
            }
            self.free(arena);
        }
    }

    /// Frees the memory alone: the entries have been moved out, and nobody else has a reference.
    pub(in super::super) unsafe fn free(self, arena: &Arena) {
        // SAFETY: `new` took the page from the arena, or allocated it with the same layout.
        unsafe {
            if self.is_large() {
                let layout = Self::large_layout(self.log2_groups());
                dealloc(self.ctrl().sub(HEAD_LEN_BYTES), layout);
            } else {
                arena.give_back(self.raw);
            }
        }
    }
}

impl<K: Clone, V: Clone> Page<K, V> {
    /// A page with clones of all entries in the same slots, none of them changed.
    #[cold]
    pub(in super::super) unsafe fn copy(self, pages: &mut Pages) -> Self {
        // SAFETY: the page is live, and the new one has the same layout. An entry is announced by
        // its control byte once it is there, so that a clone that panics drops those before it.
        unsafe {
            let log2_groups = self.log2_groups();
            let new = Self::new(pages, self.depth(), log2_groups);
            let unfinished = Unfinished(new, pages.arena());
            // All cache lines are asked for at once, as the clones wait for one after the other.
            let groups = 1_usize << log2_groups;
            for offset in (0..groups * Self::GROUP_LEN_BYTES).step_by(CACHE_LINE_LEN_BYTES) {
                prefetch(self.entry(0).cast::<u8>().wrapping_add(offset));
                prefetch(new.entry(0).cast::<u8>().wrapping_add(offset));
            }
            for at in 0..1 << log2_groups {
                let (from, to) = (self.group_at(at), new.group_at(at));
                let entries = self.entries(from, self.is_large());
                let clones = new.entries(to, self.is_large());
                for i in Self::load(from).full() {
                    let Entry { key, value } = &*entries.add(i);
                    clones.add(i).write(Entry { key: key.clone(), value: value.clone() });
                    *to.add(i) = *from.add(i);
                }
                // Deleted bytes too.
                ptr::copy_nonoverlapping(from, to, WIDTH);
            }
            std::mem::forget(unfinished);
            (*new.head()).used = (*self.head()).used;
            new
        }
    }
}

/// A copy that is being made, released if a clone panics.
struct Unfinished<'a, K, V>(Page<K, V>, &'a Arena);

impl<K, V> Drop for Unfinished<'_, K, V> {
    fn drop(&mut self) {
        // SAFETY: the copy's one reference has not been handed out, and its full slots hold entries.
        unsafe { self.0.release(self.1) };
    }
}
