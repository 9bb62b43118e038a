//! Pages: fixed swiss tables of about 4 KiB, shared by reference count.
//!
//! ```text
//! head | control bytes, 16 per group | born: one bit per slot | entries
//! ```
//!
//! A search starts at the group that the hash names and goes on to the next group until one has an
//! empty byte. At most 7/8 of the slots are ever used, so that there is one. Removing an entry
//! leaves an empty byte if its group has one already (no search ever passed it), else a deleted one.
//!
//! A [`Page`] is a plain pointer. Every method asks that the page is live (counted by at least one
//! reference that outlasts the call), and those that change it, that nobody else can reach it.

use super::group::{DELETED, DIRTY, EMPTY, Group, Mask, TAG, WIDTH};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// How large the entries of a page may be together, unless one group is larger already.
const ENTRIES_LEN_BYTES: usize = 4096;
/// Where the control bytes start.
const CTRL_OFFSET: usize = 32;
/// Low bits of a page's address that are free for tags.
pub(super) const PAGE_ALIGN: usize = 16;

#[repr(C)]
struct Head {
    refs: AtomicUsize,
    items: usize,
    used: u32,
    depth: u8,
    log2_groups: u8,
}

const _: () = assert!(size_of::<Head>() <= CTRL_OFFSET);

/// A key and its value.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// A pointer to a page.
pub(super) struct Page<K, V> {
    raw: *mut u8,
    entries: PhantomData<*mut Entry<K, V>>,
}

impl<K, V> Clone for Page<K, V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Page<K, V> {}

impl<K, V> Page<K, V> {
    /// Groups of an ordinary page, as a power of two: 16 groups or fewer if entries are large.
    pub(super) const LOG2_GROUPS: u32 = {
        let mut log2 = 4;
        while log2 > 0 && (WIDTH << log2) * size_of::<Entry<K, V>>() > ENTRIES_LEN_BYTES {
            log2 -= 1;
        }
        log2
    };

    /// The page at an address without tags.
    #[inline]
    pub(super) fn from_raw(raw: *mut u8) -> Self {
        Self { raw, entries: PhantomData }
    }

    /// The page's address.
    #[inline]
    pub(super) fn raw(self) -> *mut u8 {
        self.raw
    }

    const fn entries_offset(log2_groups: u32) -> usize {
        let end_of_born = CTRL_OFFSET + (WIDTH << log2_groups) + (2 << log2_groups);
        end_of_born.next_multiple_of(align_of::<Entry<K, V>>())
    }

    fn layout(log2_groups: u32) -> Layout {
        let entries = (WIDTH << log2_groups).checked_mul(size_of::<Entry<K, V>>());
        let len = entries.and_then(|len| len.checked_add(Self::entries_offset(log2_groups)));
        let align = PAGE_ALIGN.max(align_of::<Entry<K, V>>());
        match Layout::from_size_align(len.unwrap_or(usize::MAX), align) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<Head>()),
        }
    }

    /// An empty page with one reference; its entries share the first `depth` bits of position.
    pub(super) fn new(depth: u32, log2_groups: u32) -> Self {
        let layout = Self::layout(log2_groups);
        // SAFETY: the layout is not empty (it has a head); the writes lie inside it, and the head
        // is aligned because the page is aligned to 16.
        unsafe {
            let raw = alloc(layout);
            if raw.is_null() {
                handle_alloc_error(layout);
            }
            raw.cast::<Head>().write(Head {
                refs: AtomicUsize::new(1),
                items: 0,
                used: 0,
                depth: depth as u8,
                log2_groups: log2_groups as u8,
            });
            raw.add(CTRL_OFFSET).write_bytes(EMPTY, WIDTH << log2_groups);
            raw.add(CTRL_OFFSET + (WIDTH << log2_groups)).write_bytes(0, 2 << log2_groups);
            Self::from_raw(raw)
        }
    }

    #[inline]
    unsafe fn head(self) -> *mut Head {
        self.raw.cast()
    }

    /// Number of groups as a power of two.
    #[inline]
    pub(super) unsafe fn log2_groups(self) -> u32 {
        // SAFETY: the page is live.
        unsafe { (*self.head()).log2_groups.into() }
    }

    /// How many leading bits of position all entries share.
    #[inline]
    pub(super) unsafe fn depth(self) -> u32 {
        // SAFETY: the page is live.
        unsafe { (*self.head()).depth.into() }
    }

    /// Says that the entries share `depth` bits.
    pub(super) unsafe fn set_depth(self, depth: u32) {
        // SAFETY: the page is live and the caller's alone.
        unsafe { (*self.head()).depth = depth as u8 }
    }

    /// Number of entries.
    #[inline]
    pub(super) unsafe fn items(self) -> usize {
        // SAFETY: the page is live.
        unsafe { (*self.head()).items }
    }

    /// Number of slots that may be used: 7/8 of them.
    pub(super) unsafe fn capacity(self) -> usize {
        // SAFETY: the page is live.
        (WIDTH / 8 * 7) << unsafe { self.log2_groups() }
    }

    /// Whether an entry can be put.
    #[inline]
    pub(super) unsafe fn has_room(self) -> bool {
        // SAFETY: the page is live.
        unsafe { ((*self.head()).used as usize) < self.capacity() }
    }

    #[inline]
    unsafe fn ctrl(self, slot: usize) -> *mut u8 {
        // SAFETY: the caller's slot is inside the page.
        unsafe { self.raw.add(CTRL_OFFSET + slot) }
    }

    /// Control bytes of a group.
    #[inline]
    pub(super) unsafe fn group(self, group: usize) -> Group {
        // SAFETY: the caller's group is inside the page, and all control bytes are initialised.
        Group::load(unsafe { &*self.ctrl(group * WIDTH).cast::<[u8; WIDTH]>() })
    }

    /// The entry's place; `log2_groups` is the page's.
    #[inline]
    pub(super) unsafe fn entry(self, log2_groups: u32, slot: usize) -> *mut Entry<K, V> {
        // SAFETY: the caller's slot is inside the page; `layout` aligns the offset.
        unsafe { self.raw.add(Self::entries_offset(log2_groups)).cast::<Entry<K, V>>().add(slot) }
    }

    #[inline]
    unsafe fn born_word(self, slot: usize) -> *mut u8 {
        // SAFETY: the bitmap has a bit per slot, right after the control bytes.
        unsafe { self.ctrl(WIDTH << self.log2_groups()).add(slot / 8) }
    }

    /// Whether the entry was inserted since the last freeze.
    pub(super) unsafe fn is_born(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *self.born_word(slot) >> (slot % 8) & 1 == 1 }
    }

    /// Whether the entry changed since the last freeze.
    pub(super) unsafe fn is_dirty(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *self.ctrl(slot) & !TAG == DIRTY }
    }

    /// Says that the entry changed.
    #[inline]
    pub(super) unsafe fn set_dirty(self, slot: usize) {
        // SAFETY: the caller's slot is inside the page, full, and the page the caller's alone.
        unsafe {
            // Writing only what is news keeps the cache line clean.
            if *self.ctrl(slot) & DIRTY == 0 {
                *self.ctrl(slot) |= DIRTY;
            }
        }
    }

    /// The entry with this hash that `eq` accepts, and its slot; `log2_groups` is the page's.
    #[inline]
    pub(super) unsafe fn find(
        self,
        log2_groups: u32,
        hash: u64,
        eq: &mut impl FnMut(&K) -> bool,
    ) -> Option<(*mut Entry<K, V>, usize)> {
        let last = (1_usize << log2_groups) - 1;
        let mut at = (hash >> TAG.count_ones()) as usize & last;
        for _ in 0..=last {
            // SAFETY: `at` is at most `last`; slots that match a tag are full, so their entries are
            // initialised, and nobody changes the page while it is read.
            unsafe {
                let group = self.group(at);
                for i in group.tagged(hash as u8) {
                    let slot = at * WIDTH + i;
                    let entry = self.entry(log2_groups, slot);
                    if eq(&(*entry).key) {
                        return Some((entry, slot));
                    }
                }
                if group.empty().any() {
                    return None;
                }
            }
            at = (at + 1) & last;
        }
        None
    }

    /// Moves an entry in. The page has room, and is the caller's alone.
    pub(super) unsafe fn put(self, hash: u64, entry: Entry<K, V>, dirty: bool, born: bool) {
        // SAFETY: the page is live, so its head can be read.
        let log2_groups = unsafe { self.log2_groups() };
        let last = (1_usize << log2_groups) - 1;
        let mut at = (hash >> TAG.count_ones()) as usize & last;
        // SAFETY: `at` is at most `last`. A page with room has a free slot, so the loop ends, at a
        // slot without an entry: writing there overwrites none.
        unsafe {
            let i = loop {
                if let Some(i) = self.group(at).free().next() {
                    break i;
                }
                at = (at + 1) & last;
            };
            let slot = at * WIDTH + i;
            (*self.head()).used += u32::from(*self.ctrl(slot) == EMPTY);
            (*self.head()).items += 1;
            *self.ctrl(slot) = hash as u8 & TAG | if dirty { DIRTY } else { 0 };
            *self.born_word(slot) |= u8::from(born) << (slot % 8);
            self.entry(log2_groups, slot).write(entry);
        }
    }

    /// Frees a full slot whose entry has been, or will be, moved out by the caller, who owns the
    /// page alone.
    pub(super) unsafe fn erase(self, slot: usize) {
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let passed = !self.group(slot / WIDTH).empty().any();
            *self.ctrl(slot) = if passed { DELETED } else { EMPTY };
            (*self.head()).used -= u32::from(!passed);
            (*self.head()).items -= 1;
            *self.born_word(slot) &= !(1 << (slot % 8));
        }
    }

    /// Full slots, in order.
    pub(super) unsafe fn slots(self) -> impl Iterator<Item = usize> {
        // SAFETY: the page is live, as the caller promises until the iterator's end.
        let groups = 0..1_usize << unsafe { self.log2_groups() };
        groups.flat_map(move |at| {
            // SAFETY: as above, and the group is inside the page.
            let free = unsafe { self.group(at) }.free();
            Mask(!free.0).map(move |i| at * WIDTH + i)
        })
    }

    /// Forgets what changed; the page is the caller's alone.
    pub(super) unsafe fn forget_changes(self) {
        // SAFETY: control bytes and bitmap lie inside the page and are initialised.
        unsafe {
            let slots = WIDTH << self.log2_groups();
            for byte in std::slice::from_raw_parts_mut(self.ctrl(0), slots) {
                *byte &= if *byte & DELETED == 0 { !DIRTY } else { u8::MAX };
            }
            self.ctrl(slots).write_bytes(0, slots / 8);
        }
    }

    /// Adds a reference.
    pub(super) unsafe fn retain(self) {
        // SAFETY: the page is live. Relaxed as in `Arc`: a new reference comes from an existing one.
        unsafe { (*self.head()).refs.fetch_add(1, Ordering::Relaxed) };
    }

    /// Whether the caller's reference is the only one.
    pub(super) unsafe fn is_unique(self) -> bool {
        // SAFETY: the page is live. Acquire: what the last other holder did is over.
        unsafe { (*self.head()).refs.load(Ordering::Acquire) == 1 }
    }

    /// Gives up the caller's reference, and drops page and entries if it was the last.
    pub(super) unsafe fn release(self) {
        // SAFETY: the page is live until the count falls to zero; then nobody else can reach it,
        // and the fence orders their reads before the drops (as in `Arc`). Memory goes last: an
        // entry whose drop panics leaks the rest.
        unsafe {
            if (*self.head()).refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            if std::mem::needs_drop::<Entry<K, V>>() {
                let log2_groups = self.log2_groups();
                for slot in self.slots() {
                    ptr::drop_in_place(self.entry(log2_groups, slot));
                }
            }
            self.free();
        }
    }

    /// Frees the memory alone: the entries have been moved out, and nobody else has a reference.
    pub(super) unsafe fn free(self) {
        // SAFETY: `new` allocated the page with the same layout.
        unsafe { dealloc(self.raw, Self::layout(self.log2_groups())) }
    }
}

impl<K: Clone, V: Clone> Page<K, V> {
    /// A page with clones of all entries in the same slots, none of them changed.
    #[cold]
    pub(super) unsafe fn copy(self) -> Self {
        // SAFETY: the page is live, and the new one has the same layout. An entry is announced by
        // its control byte once it is there, so that a clone that panics drops those before it.
        unsafe {
            let log2_groups = self.log2_groups();
            let new = Self::new(self.depth(), log2_groups);
            let unfinished = Unfinished(new);
            for slot in self.slots() {
                let Entry { key, value } = &*self.entry(log2_groups, slot);
                let clone = Entry { key: key.clone(), value: value.clone() };
                new.entry(log2_groups, slot).write(clone);
                *new.ctrl(slot) = *self.ctrl(slot);
            }
            std::mem::forget(unfinished);
            ptr::copy_nonoverlapping(self.ctrl(0), new.ctrl(0), WIDTH << log2_groups);
            (*new.head()).items = (*self.head()).items;
            (*new.head()).used = (*self.head()).used;
            new.forget_changes();
            new
        }
    }
}

/// A copy that is being made, released if a clone panics.
struct Unfinished<K, V>(Page<K, V>);

impl<K, V> Drop for Unfinished<K, V> {
    fn drop(&mut self) {
        // SAFETY: the copy's one reference has not been handed out, and its full slots hold entries.
        unsafe { self.0.release() };
    }
}
