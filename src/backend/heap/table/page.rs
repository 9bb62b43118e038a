//! Pages: fixed swiss tables of about 4 KiB, shared by reference count.
//!
//! A page is control bytes (with bits per slot that changed), a head (with bits per slot that is
//! new) and entries. An ordinary page's three parts are where [`arena`] says; a large
//! one, with more groups, has an allocation of its own:
//!
//! ```text
//! head | control bytes | born: one bit per slot | entries
//! ```
//!
//! A search starts at the group that the hash names and goes on to the next group until one has an
//! empty byte. At most 7/8 of the slots are ever used, so that there is one. Removing an entry
//! leaves an empty byte if its group has one already (no search ever passed it), else a deleted one.
//! A slot's number is 16 times its group plus its place there.
//!
//! A [`Page`] is a plain pointer. Every method asks that the page is live (counted by at least one
//! reference that outlasts the call), and those that change it, that nobody else can reach it.

mod find;
mod share;

pub(super) use find::{Place, Vacant};

use super::arena::{self, BLOCK_ALIGN, BlockShape, HEAD_LEN_BYTES, Pages};
use super::group::{CTRL_LEN_BYTES, EMPTY, Group, Mask, WIDTH};
use std::alloc::{Layout, alloc, handle_alloc_error};
use std::marker::PhantomData;
use std::sync::atomic::AtomicUsize;

/// How large the groups of a page may be together, unless one group is larger already.
const GROUPS_LEN_BYTES: usize = 4096;
/// Low bits of a page's address that are free for tags.
pub(super) const PAGE_ALIGN: usize = CTRL_LEN_BYTES;
/// Tag of a page with more groups than ordinary ones.
pub(super) const LARGE: usize = 0b100;

#[repr(C)]
struct Head {
    refs: AtomicUsize,
    used: u32,
    depth: u8,
    log2_groups: u8,
}

/// Where the bits of new slots start, after an ordinary page's head.
const BORN_OFFSET: usize = size_of::<Head>();
const CHANGES_OFFSET: usize = WIDTH;
const LOG2_GROUPS_MAX: u32 = 4;

const _: () = assert!(BORN_OFFSET + (2 << LOG2_GROUPS_MAX) <= HEAD_LEN_BYTES);

/// A key and its value.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// A pointer to a page's control bytes, tagged if it is a large one.
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
    const ENTRY_ALIGN: usize = if align_of::<Entry<K, V>>() > CTRL_LEN_BYTES {
        align_of::<Entry<K, V>>()
    } else {
        CTRL_LEN_BYTES
    };
    /// Bytes of a group's entries.
    const GROUP_LEN_BYTES: usize =
        (WIDTH * size_of::<Entry<K, V>>()).next_multiple_of(Self::ENTRY_ALIGN);

    /// Groups of an ordinary page, as a power of two: 16 groups or fewer if entries are large.
    pub(super) const LOG2_GROUPS: u32 = {
        let mut log2 = LOG2_GROUPS_MAX;
        while log2 > 0 && Self::GROUP_LEN_BYTES << log2 > GROUPS_LEN_BYTES {
            log2 -= 1;
        }
        log2
    };

    const BLOCK: BlockShape = BlockShape::new(
        CTRL_LEN_BYTES << Self::LOG2_GROUPS,
        Self::GROUP_LEN_BYTES << Self::LOG2_GROUPS,
        Self::ENTRY_ALIGN,
    );

    /// The page at an address, with no tag but [`LARGE`].
    #[inline]
    pub(super) fn from_raw(raw: *mut u8) -> Self {
        Self { raw, entries: PhantomData }
    }

    /// The page's address, with its tag.
    #[inline]
    pub(super) fn raw(self) -> *mut u8 {
        self.raw
    }

    #[inline]
    fn is_large(self) -> bool {
        self.raw.addr() & LARGE != 0
    }

    /// Where a large page's born bits and entries are, from its control bytes on.
    const fn large_offsets(log2_groups: u32) -> (usize, usize) {
        let born = CTRL_LEN_BYTES << log2_groups;
        // Control bytes are as far from an address that is aligned for entries as the head is long.
        let entries = (HEAD_LEN_BYTES + born + (2 << log2_groups))
            .next_multiple_of(Self::ENTRY_ALIGN)
            - HEAD_LEN_BYTES;
        (born, entries)
    }

    fn large_layout(log2_groups: u32) -> Layout {
        let align = HEAD_LEN_BYTES.max(Self::ENTRY_ALIGN);
        let entries = (1_usize << log2_groups).checked_mul(Self::GROUP_LEN_BYTES);
        let before = HEAD_LEN_BYTES + Self::large_offsets(log2_groups).1;
        let len = entries.and_then(|len| len.checked_add(before)).unwrap_or(usize::MAX);
        match Layout::from_size_align(len, align) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<Head>()),
        }
    }

    /// Where a table takes ordinary pages from.
    pub(super) fn pages() -> Pages {
        Pages::new(Self::BLOCK, true)
    }

    /// For a table whose pages are all allocated one by one: one of many, which have no use for a
    /// block each.
    pub(super) fn unpooled() -> Pages {
        Pages::new(Self::BLOCK, false)
    }

    /// An empty page with one reference; its entries share the first `depth` bits of position.
    pub(super) fn new(pages: &mut Pages, depth: u32, log2_groups: u32) -> Self {
        let raw = if log2_groups == Self::LOG2_GROUPS && pages.are_pooled() {
            pages.take()
        } else {
            let layout = Self::large_layout(log2_groups);
            // SAFETY: the layout is not empty: it has a head, and control bytes after it.
            unsafe {
                let raw = alloc(layout);
                if raw.is_null() {
                    handle_alloc_error(layout);
                }
                raw.add(HEAD_LEN_BYTES).map_addr(|addr| addr | LARGE)
            }
        };
        let page = Self::from_raw(raw);
        // SAFETY: the writes lie inside the page, and the head is aligned to 64.
        unsafe {
            page.head().write(Head {
                refs: AtomicUsize::new(1),
                used: 0,
                depth: depth as u8,
                log2_groups: log2_groups as u8,
            });
            page.born_word(0).write_bytes(0, 1 << log2_groups);
            page.ctrl().write_bytes(EMPTY, CTRL_LEN_BYTES << log2_groups);
        }
        page
    }

    /// The control bytes.
    #[inline]
    fn ctrl(self) -> *mut u8 {
        self.raw.map_addr(|addr| addr & !LARGE)
    }

    #[inline]
    unsafe fn head(self) -> *mut Head {
        // SAFETY: a large page's head is before its control bytes, an ordinary one's in its block.
        unsafe {
            if self.is_large() {
                self.ctrl().sub(HEAD_LEN_BYTES).cast()
            } else {
                arena::head(self.raw, &Self::BLOCK).cast()
            }
        }
    }

    /// Number of groups as a power of two.
    #[inline]
    pub(super) unsafe fn log2_groups(self) -> u32 {
        // SAFETY: the page is live.
        unsafe { (*self.head()).log2_groups.into() }
    }

    /// Bytes of its control bytes and entries.
    pub(super) unsafe fn len_bytes(self) -> usize {
        // SAFETY: the page is live.
        (CTRL_LEN_BYTES + Self::GROUP_LEN_BYTES) << unsafe { self.log2_groups() }
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

    /// Number of entries; it looks at all groups.
    pub(super) unsafe fn items(self) -> usize {
        // SAFETY: the page is live, the groups inside it.
        unsafe { (0..1 << self.log2_groups()).map(|at| self.group(at).full().len()).sum() }
    }

    /// Number of slots that may be used: 7/8 of them, and one less if that is all.
    #[inline]
    pub(super) unsafe fn capacity(self) -> usize {
        // SAFETY: the page is live.
        let slots = WIDTH << unsafe { self.log2_groups() };
        slots - slots.div_ceil(8)
    }

    /// Whether an entry can be put.
    #[inline]
    pub(super) unsafe fn has_room(self) -> bool {
        // SAFETY: the page is live.
        unsafe { ((*self.head()).used as usize) < self.capacity() }
    }

    /// Where a group's control bytes are.
    #[inline]
    unsafe fn group_at(self, group: usize) -> *mut u8 {
        // SAFETY: the caller's group is inside the page.
        unsafe { self.ctrl().add(group * CTRL_LEN_BYTES) }
    }

    /// Where the entries of a group are; of an ordinary page, where its control bytes say.
    #[inline]
    unsafe fn entries(self, group: *mut u8, large: bool) -> *mut Entry<K, V> {
        // SAFETY: the caller's group is in this page, which is large or in a block as it says.
        unsafe {
            if large {
                let ctrl = self.ctrl();
                let at = (group.addr() - ctrl.addr()) / CTRL_LEN_BYTES;
                let entries = Self::large_offsets(self.log2_groups()).1;
                ctrl.add(entries + at * Self::GROUP_LEN_BYTES).cast()
            } else {
                let in_block = group.addr() % BLOCK_ALIGN;
                // As far behind the entries' start as the group is behind the block's, in proportion;
                // the group itself stands for one part of that.
                let parts = (Self::GROUP_LEN_BYTES / CTRL_LEN_BYTES).wrapping_sub(1);
                let offset = Self::BLOCK.entries_offset;
                group.wrapping_add(in_block.wrapping_mul(parts)).wrapping_add(offset).cast()
            }
        }
    }

    #[inline]
    unsafe fn load(group: *mut u8) -> Group {
        // SAFETY: the caller's group is live and initialised, and aligned to 16 as all are.
        unsafe { Group::load(group.cast()) }
    }

    /// Control bytes of a group.
    #[inline]
    pub(super) unsafe fn group(self, group: usize) -> Group {
        // SAFETY: the caller's group is inside the page, and all control bytes are initialised.
        unsafe { Self::load(self.group_at(group)) }
    }

    #[inline]
    unsafe fn changes(group: *mut u8) -> *mut u16 {
        // SAFETY: the two bytes after the control bytes, aligned to 2.
        unsafe { group.add(CHANGES_OFFSET).cast() }
    }

    /// Full slots of a group that changed since the last freeze.
    #[inline]
    pub(super) unsafe fn dirty(self, group: usize) -> Mask {
        // SAFETY: the caller's group is inside the page.
        unsafe {
            let group = self.group_at(group);
            Mask(*Self::changes(group) & Self::load(group).full().0)
        }
    }

    /// The entry's place.
    #[inline]
    pub(super) unsafe fn entry(self, slot: usize) -> *mut Entry<K, V> {
        // SAFETY: the caller's slot is inside the page.
        unsafe { self.entries(self.group_at(slot / 16), self.is_large()).add(slot % 16) }
    }

    #[inline]
    unsafe fn born_word(self, group: usize) -> *mut u16 {
        // SAFETY: there are two bytes per group, aligned to 2.
        unsafe {
            let words = if self.is_large() {
                self.ctrl().add(Self::large_offsets(self.log2_groups()).0)
            } else {
                self.head().cast::<u8>().add(BORN_OFFSET)
            };
            words.cast::<u16>().add(group)
        }
    }

    /// Whether the entry was inserted since the last freeze.
    pub(super) unsafe fn is_born(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *self.born_word(slot / 16) >> (slot % 16) & 1 == 1 }
    }

    /// Whether the entry changed since the last freeze.
    pub(super) unsafe fn is_dirty(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *Self::changes(self.group_at(slot / 16)) >> (slot % 16) & 1 == 1 }
    }

    /// Full slots, in order.
    pub(super) unsafe fn slots(self) -> impl Iterator<Item = usize> {
        // SAFETY: the page is live, as the caller promises until the iterator's end.
        let groups = 0..1_usize << unsafe { self.log2_groups() };
        groups.flat_map(move |at| {
            // SAFETY: as above, and the group is inside the page.
            unsafe { self.group(at) }.full().map(move |i| at * 16 + i)
        })
    }

    /// Forgets that an entry changed, or is new; the page is the caller's alone.
    pub(super) unsafe fn forget_change(self, slot: usize) {
        // SAFETY: the caller's slot is inside the page, and so are the bits of its group.
        unsafe {
            let kept = !(1 << (slot % 16));
            *Self::changes(self.group_at(slot / 16)) &= kept;
            *self.born_word(slot / 16) &= kept;
        }
    }

    /// Forgets what changed; the page is the caller's alone.
    pub(super) unsafe fn forget_changes(self) {
        // SAFETY: control bytes and bitmap lie inside the page and are initialised.
        unsafe {
            let log2_groups = self.log2_groups();
            for at in 0..1 << log2_groups {
                *Self::changes(self.group_at(at)) = 0;
                *self.born_word(at) = 0;
            }
        }
    }
}
