//! Pages: fixed swiss tables of about 4 KiB, shared by reference count.
//!
//! A page is control bytes (with bits per slot that changed), a head (with bits per slot that is
//! new) and entries. An ordinary page's three parts are where [`arena`](super::arena) says; a large
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

use super::arena::{self, Arena, BLOCK_ALIGN, BlockShape, HEAD_LEN_BYTES, Pages};
use super::group::{CTRL_LEN_BYTES, DELETED, EMPTY, Group, Mask, TAG_BITS, WIDTH, tag};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

const CACHE_LINE_LEN_BYTES: usize = 64;
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
        let head = Self::large_head_len();
        (born, (head + born + (2 << log2_groups)).next_multiple_of(Self::ENTRY_ALIGN) - head)
    }

    const fn large_head_len() -> usize {
        HEAD_LEN_BYTES
    }

    fn large_layout(log2_groups: u32) -> Layout {
        let align = HEAD_LEN_BYTES.max(Self::ENTRY_ALIGN);
        let entries = (1_usize << log2_groups).checked_mul(Self::GROUP_LEN_BYTES);
        let before = Self::large_head_len() + Self::large_offsets(log2_groups).1;
        let len = entries.and_then(|len| len.checked_add(before)).unwrap_or(usize::MAX);
        match Layout::from_size_align(len, align) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<Head>()),
        }
    }

    /// Where a table takes ordinary pages from.
    pub(super) fn pages() -> Pages {
        Pages::new(Self::BLOCK)
    }

    /// An empty page with one reference; its entries share the first `depth` bits of position.
    pub(super) fn new(pages: &mut Pages, depth: u32, log2_groups: u32) -> Self {
        let raw = if log2_groups == Self::LOG2_GROUPS {
            pages.take()
        } else {
            let layout = Self::large_layout(log2_groups);
            // SAFETY: the layout is not empty: it has a head, and control bytes after it.
            unsafe {
                let raw = alloc(layout);
                if raw.is_null() {
                    handle_alloc_error(layout);
                }
                raw.add(Self::large_head_len()).map_addr(|addr| addr | LARGE)
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
                self.ctrl().sub(Self::large_head_len()).cast()
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

    /// Says that the entry found at a place changed.
    #[inline]
    pub(super) unsafe fn set_dirty(place: &Place<K, V>) {
        // SAFETY: the caller's place is full, and its page the caller's alone.
        unsafe {
            let changes = Self::changes(place.group);
            // Writing only what is news keeps the cache line clean.
            if *changes & place.bit == 0 {
                *changes |= place.bit;
            }
        }
    }

    /// The entry in a slot.
    pub(super) unsafe fn place(self, slot: usize) -> Place<K, V> {
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let (group, bit) = (self.group_at(slot / 16), 1 << (slot % 16));
            Place { page: self, group, bit, entry: self.entry(slot) }
        }
    }

    /// The entry with this hash that `eq` accepts in the group of an ordinary page where it should
    /// be; else whether it may be in another one.
    #[inline(always)]
    pub(super) unsafe fn find_first(
        self,
        hash: u64,
        eq: &mut impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, bool> {
        let at = (hash >> TAG_BITS) as usize & ((1 << Self::LOG2_GROUPS) - 1);
        // SAFETY: the page is live and ordinary, the group inside it.
        unsafe { self.find_in_group(at, false, hash, eq) }
    }

    /// The entry with this hash that `eq` accepts.
    pub(super) unsafe fn find(
        self,
        hash: u64,
        mut eq: impl FnMut(&K) -> bool,
    ) -> Option<Place<K, V>> {
        // SAFETY: the page is live, and groups are taken modulo their number.
        unsafe {
            let last = (1_usize << self.log2_groups()) - 1;
            let start = (hash >> TAG_BITS) as usize & last;
            for at in start..=start + last {
                match self.find_in_group(at & last, self.is_large(), hash, &mut eq) {
                    Ok(place) => return Some(place),
                    Err(false) => return None,
                    Err(true) => {}
                }
            }
        }
        None
    }

    /// The entry, else whether it may be in the next group.
    #[inline(always)]
    unsafe fn find_in_group(
        self,
        at: usize,
        large: bool,
        hash: u64,
        eq: &mut impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, bool> {
        // SAFETY: the caller's group is inside the page; slots that match a tag are full, so their
        // entries are initialised, and nobody changes the page while it is read.
        unsafe {
            let group = self.group_at(at);
            let entries = self.entries(group, large);
            // Where the entry most likely is, fetched while the control bytes are.
            prefetch(entries.wrapping_add(home(hash)));
            let control = Self::load(group);
            let mut tagged = control.equal(tag(hash));
            while tagged.any() {
                let entry = entries.add(tagged.0.trailing_zeros() as usize);
                if eq(&(*entry).key) {
                    return Ok(Place { page: self, group, bit: tagged.first_bit(), entry });
                }
                tagged.next();
            }
            Err(!control.empty().any())
        }
    }

    /// Moves an entry in. The page has room, and is the caller's alone.
    #[inline]
    pub(super) unsafe fn put(
        self,
        log2_groups: u32,
        hash: u64,
        entry: Entry<K, V>,
        dirty: bool,
        born: bool,
    ) {
        let last = (1_usize << log2_groups) - 1;
        let mut at = (hash >> TAG_BITS) as usize & last;
        // SAFETY: `at` is at most `last`. A page with room has a free slot, so the loop ends, at a
        // slot without an entry: writing there overwrites none.
        unsafe {
            let (group, i) = loop {
                let group = self.group_at(at);
                if let Some(i) = Self::load(group).free().from(home(hash)) {
                    break (group, i);
                }
                at = (at + 1) & last;
            };
            (*self.head()).used += u32::from(*group.add(i) == EMPTY);
            *group.add(i) = tag(hash);
            *Self::changes(group) |= u16::from(dirty) << i;
            *self.born_word(at) |= u16::from(born) << i;
            self.entries(group, log2_groups != Self::LOG2_GROUPS).add(i).write(entry);
        }
    }

    /// Where to put an entry with this hash that [`find_first`](Self::find_first) did not find.
    #[inline(always)]
    pub(super) unsafe fn vacant(self, hash: u64) -> Vacant<K, V> {
        let at = (hash >> TAG_BITS) as usize & ((1 << Self::LOG2_GROUPS) - 1);
        // SAFETY: the page is live, the group inside it.
        Vacant { page: self, group: unsafe { self.group_at(at) } }
    }

    /// Moves a new entry into a group that has an empty slot, unless the page has no room. The page
    /// is ordinary, and the caller's alone.
    #[inline(always)]
    pub(super) unsafe fn put_first(
        vacant: Vacant<K, V>,
        hash: u64,
        entry: Entry<K, V>,
    ) -> Result<(), Entry<K, V>> {
        let Vacant { page, group } = vacant;
        // SAFETY: the group is in the page, which is ordinary, and has a free slot.
        unsafe {
            let head: *mut Head = arena::head(page.raw, &Self::BLOCK).cast();
            let slots = WIDTH << Self::LOG2_GROUPS;
            let Some(i) = Self::load(group).free().from(home(hash)) else { return Err(entry) };
            if (*head).used as usize >= slots - slots.div_ceil(8) {
                return Err(entry);
            }
            (*head).used += u32::from(*group.add(i) == EMPTY);
            *group.add(i) = tag(hash);
            *Self::changes(group) |= 1 << i;
            let at = (group.addr() - page.raw.addr()) / CTRL_LEN_BYTES;
            *head.add(1).cast::<u16>().add(at) |= 1 << i;
            page.entries(group, false).add(i).write(entry);
        }
        Ok(())
    }

    /// Frees a full slot whose entry has been, or will be, moved out by the caller, who owns the
    /// page alone.
    pub(super) unsafe fn erase(self, slot: usize) {
        let (at, i) = (slot / 16, slot % 16);
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let group = self.group_at(at);
            let passed = !Self::load(group).empty().any();
            *group.add(i) = if passed { DELETED } else { EMPTY };
            (*self.head()).used -= u32::from(!passed);
            *Self::changes(group) &= !(1 << i);
            *self.born_word(at) &= !(1 << i);
        }
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

    /// Asks for the cache line that holds the count of references.
    #[inline]
    pub(super) unsafe fn prefetch_refs(self) {
        // SAFETY: the page is live.
        prefetch(unsafe { self.head() });
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
    pub(super) unsafe fn release(self, arena: &Arena) {
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
    pub(super) unsafe fn free(self, arena: &Arena) {
        // SAFETY: `new` took the page from the arena, or allocated it with the same layout.
        unsafe {
            if self.is_large() {
                let layout = Self::large_layout(self.log2_groups());
                dealloc(self.ctrl().sub(Self::large_head_len()), layout);
            } else {
                arena.give_back(self.raw);
            }
        }
    }
}

impl<K: Clone, V: Clone> Page<K, V> {
    /// A page with clones of all entries in the same slots, none of them changed.
    #[cold]
    pub(super) unsafe fn copy(self, pages: &mut Pages) -> Self {
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

/// The slot of a group at which an entry is put if it is free, else at the next free one; those
/// that do not exist stand for the first ones.
#[inline]
fn home(hash: u64) -> usize {
    (hash >> TAG_BITS) as usize / 16 % 16
}

/// Asks for a cache line; the address may be anything.
#[inline]
fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    // SAFETY: a prefetch reads nothing that the program could see, from no address at all.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
    let _ = address;
}

/// Where an entry is.
pub(super) struct Place<K, V> {
    pub(super) page: Page<K, V>,
    group: *mut u8,
    /// Its slot in the group.
    bit: u16,
    pub(super) entry: *mut Entry<K, V>,
}

impl<K, V> Place<K, V> {
    /// The slot's number in the page, which is live.
    pub(super) unsafe fn slot(&self) -> usize {
        {
            let at = (self.group.addr() - self.page.ctrl().addr()) / CTRL_LEN_BYTES;
            at * 16 + self.bit.trailing_zeros() as usize
        }
    }
}

/// A group of an ordinary page in which a search ended at an empty slot.
pub(super) struct Vacant<K, V> {
    page: Page<K, V>,
    group: *mut u8,
}

/// A copy that is being made, released if a clone panics.
struct Unfinished<'a, K, V>(Page<K, V>, &'a Arena);

impl<K, V> Drop for Unfinished<'_, K, V> {
    fn drop(&mut self) {
        // SAFETY: the copy's one reference has not been handed out, and its full slots hold entries.
        unsafe { self.0.release(self.1) };
    }
}
