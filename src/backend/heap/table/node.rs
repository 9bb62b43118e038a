//! Nodes of the trie, and the tagged pointers ("links") between them and to pages.
//!
//! A link's low bits say what it points to, how large that is, and whether it is owned: made or
//! taken over since the last freeze. A node is an array of 2 to 512 links (the root: 512), indexed by
//! the next bits of position. A page that shares fewer bits than its node tells apart stands in a run of
//! neighbouring slots, and the run counts as one reference.

use super::arena::Arena;
use super::page::{LARGE, PAGE_ALIGN, Page, Place, Vacant};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A node tells apart at most this many bits: 512 links, 4 KiB.
pub(super) const BITS_MAX: u32 = 9;
/// Bits of a position.
pub(super) const POSITION_BITS: u32 = u64::BITS;

const OWNED: usize = 0b1;
const NODE: usize = 0b10;
/// Where a link to a node says how far a position is shifted to index it: 64 less the node's bits.
const NODE_SHIFT_AT: u32 = 2;
const NODE_ALIGN: usize = 256;
const SLOTS_OFFSET: usize = size_of::<AtomicUsize>();

/// A tagged pointer to a page, to a node, or to nothing.
pub(super) struct Link<K, V> {
    raw: *mut u8,
    entries: PhantomData<*mut (K, V)>,
}

impl<K, V> Clone for Link<K, V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Link<K, V> {}

impl<K, V> Link<K, V> {
    /// A link to nothing.
    /// It is tagged as a large page is, so that one test tells ordinary pages from all else.
    pub(super) const NULL: Self =
        Self { raw: std::ptr::without_provenance_mut(LARGE), entries: PhantomData };

    /// An owned link to a page.
    pub(super) fn to_page(page: Page<K, V>) -> Self {
        Self { raw: page.raw().map_addr(|addr| addr | OWNED), entries: PhantomData }
    }

    /// An owned link to a new node of `1 << bits` empty slots.
    pub(super) fn new_node(bits: u32) -> Self {
        let layout = Self::layout(bits);
        // SAFETY: the layout is not empty; count and slots lie inside it, aligned to 8.
        unsafe {
            let raw = alloc(layout);
            if raw.is_null() {
                handle_alloc_error(layout);
            }
            raw.cast::<AtomicUsize>().write(AtomicUsize::new(1));
            let slots = raw.add(SLOTS_OFFSET).cast::<Self>();
            for i in 0..1 << bits {
                slots.add(i).write(Self::NULL);
            }
            let tags = OWNED | NODE | ((POSITION_BITS - bits) as usize) << NODE_SHIFT_AT;
            Self { raw: raw.map_addr(|addr| addr | tags), entries: PhantomData }
        }
    }

    fn layout(bits: u32) -> Layout {
        let len = SLOTS_OFFSET + (size_of::<Self>() << bits);
        match Layout::from_size_align(len, NODE_ALIGN) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<AtomicUsize>()),
        }
    }

    #[inline]
    pub(super) fn is_null(self) -> bool {
        self.raw.addr() == LARGE
    }

    #[inline]
    pub(super) fn is_node(self) -> bool {
        self.raw.addr() & NODE != 0
    }

    /// Whether it was made or taken over since the last freeze.
    #[inline]
    pub(super) fn is_owned(self) -> bool {
        self.raw.addr() & OWNED != 0
    }

    /// The same link, owned.
    pub(super) fn owned(self) -> Self {
        Self { raw: self.raw.map_addr(|addr| addr | OWNED), ..self }
    }

    /// The same link, not owned.
    pub(super) fn unowned(self) -> Self {
        Self { raw: self.raw.map_addr(|addr| addr & !OWNED), ..self }
    }

    /// The page of a link that is neither null nor a node.
    #[inline]
    pub(super) fn page(self) -> Page<K, V> {
        // By way of an integer, as the compiler makes three instructions of `map_addr` here.
        let addr = self.raw.expose_provenance() & !(PAGE_ALIGN - 1 - LARGE);
        Page::from_raw(std::ptr::with_exposed_provenance_mut(addr))
    }

    /// Whether it is to a page with the usual number of groups.
    #[inline]
    fn is_ordinary_page(self) -> bool {
        self.raw.addr() & (LARGE | NODE) == 0
    }

    /// By how much a position is shifted to index a node, modulo 64: higher bits mean nothing.
    #[inline]
    fn shift(self) -> u32 {
        (self.raw.addr() >> NODE_SHIFT_AT) as u32
    }

    /// How many bits a node tells apart.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        POSITION_BITS - self.shift() % POSITION_BITS
    }

    /// Bytes that a node takes.
    pub(super) fn node_len_bytes(self) -> usize {
        Self::layout(self.bits()).size()
    }

    #[inline]
    fn node_raw(self) -> *mut u8 {
        self.raw.map_addr(|addr| addr & !(NODE_ALIGN - 1))
    }

    #[inline]
    unsafe fn refs(self) -> *const AtomicUsize {
        self.node_raw().cast()
    }

    /// A node's slot.
    #[inline]
    pub(super) unsafe fn slot(self, index: usize) -> *mut Self {
        // SAFETY: the caller's link is to a live node, the index below its number of slots.
        unsafe { self.node_raw().add(SLOTS_OFFSET).cast::<Self>().add(index) }
    }

    /// The index in a node, `base` bits deep, of what holds `position`.
    #[inline]
    pub(super) fn index(self, position: u64, base: u32) -> usize {
        ((position << base) >> (POSITION_BITS - self.bits())) as usize
    }

    /// How many slots the child in a slot of this node, `base` bits deep, stands in.
    pub(super) unsafe fn run(self, child: Self, base: u32) -> usize {
        if child.is_null() || child.is_node() {
            return 1;
        }
        // SAFETY: the caller's child is live. A page never shares more bits than its node tells.
        1 << (base + self.bits() - unsafe { child.page().depth() })
    }

    /// Sets the run of `run` slots that `index` is in.
    pub(super) unsafe fn set_run(self, index: usize, run: usize, child: Self) {
        for i in 0..run {
            // SAFETY: runs are aligned to their length, so they end inside the caller's node, which
            // is the caller's alone.
            unsafe { *self.slot((index & !(run - 1)) + i) = child }
        }
    }

    /// How many bits a node, `base` bits deep, may tell apart.
    pub(super) fn bits_max(base: u32) -> u32 {
        BITS_MAX.min(POSITION_BITS - base)
    }

    /// A node of twice the slots with the same children, which moves them out of this one and frees
    /// it. The node is owned, hence the caller's alone.
    pub(super) unsafe fn doubled(self) -> Self {
        let new = Self::new_node(self.bits() + 1);
        // SAFETY: the new node has two slots for each of this one's. Children's counts stay as they
        // are: their runs move. Nobody else has a reference to this node.
        unsafe {
            for i in 0..1 << self.bits() {
                let child = *self.slot(i);
                *new.slot(2 * i) = child;
                *new.slot(2 * i + 1) = child;
            }
            dealloc(self.node_raw(), Self::layout(self.bits()));
        }
        new
    }

    /// Calls `f` once for each child, with how many slots it stands in.
    unsafe fn for_children(self, base: u32, mut f: impl FnMut(Self)) {
        let mut i = 0;
        while i < 1 << self.bits() {
            // SAFETY: the index is below the caller's node's number of slots, its children live
            // while it is; `run` is read before `f` may release the child.
            unsafe {
                let child = *self.slot(i);
                i += self.run(child, base);
                if !child.is_null() {
                    f(child);
                }
            }
        }
    }

    /// A copy of the node that owns no child yet.
    #[cold]
    pub(super) unsafe fn copied(self, base: u32) -> Self {
        let new = Self::new_node(self.bits());
        // SAFETY: the caller's node is live, and so are its children, which get a reference each.
        unsafe {
            // Counts are far apart: ask for them all before the first is waited for.
            for i in 0..1 << self.bits() {
                let child = *self.slot(i);
                if !child.is_null() && !child.is_node() {
                    child.page().prefetch_refs();
                }
            }
            self.for_children(base, |child| child.retain());
            for i in 0..1 << self.bits() {
                *new.slot(i) = (*self.slot(i)).unowned();
            }
        }
        new
    }

    /// Says that the node, which is the caller's alone, owns no child yet.
    pub(super) unsafe fn forget_changes(self) {
        for i in 0..1 << self.bits() {
            // SAFETY: the index is below the number of slots.
            unsafe { *self.slot(i) = (*self.slot(i)).unowned() }
        }
    }

    /// Adds a reference to a live page or node.
    pub(super) unsafe fn retain(self) {
        // SAFETY: it is live; the order is relaxed as in `Arc`.
        unsafe {
            if self.is_node() {
                (*self.refs()).fetch_add(1, Ordering::Relaxed);
            } else {
                self.page().retain();
            }
        }
    }

    /// Whether the caller's reference is the only one.
    pub(super) unsafe fn is_unique(self) -> bool {
        // SAFETY: it is live. Acquire: what the last other holder did is over.
        unsafe {
            if self.is_node() {
                (*self.refs()).load(Ordering::Acquire) == 1
            } else {
                self.page().is_unique()
            }
        }
    }

    /// Gives up the caller's reference to a page or to a node `base` bits deep; the last one frees
    /// it with all that it alone holds.
    pub(super) unsafe fn release(self, base: u32, arena: &Arena) {
        // SAFETY: it is live until its count falls to zero; then nobody else can reach it, and its
        // references to its children are given up once each.
        unsafe {
            if !self.is_node() {
                return self.page().release(arena);
            }
            if (*self.refs()).fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            self.for_children(base, |child| child.release(base + self.bits(), arena));
            dealloc(self.node_raw(), Self::layout(self.bits()));
        }
    }
}

/// Where a look-up ends.
pub(super) enum Search<K, V> {
    /// At an entry, and whether everything on the path is owned, so that it may be changed in place.
    Found(Place<K, V>, bool),
    /// At no entry; where it may be put, if that is in an ordinary page on an owned path.
    Missing(Option<Vacant<K, V>>),
    /// Nowhere yet: [`find`] knows.
    Unknown,
}

/// Finds an entry below a root where nearly all are: in the right group of an ordinary page, at most
/// two nodes deep. The root is live, and nobody changes what it holds meanwhile.
#[inline(always)]
pub(super) unsafe fn find_fast<K, V>(
    root: Link<K, V>,
    position: u64,
    hash: u64,
    eq: &mut impl FnMut(&K) -> bool,
) -> Search<K, V> {
    // The root always tells apart the same number of bits, a constant that saves a slow shift.
    let mut owned = root.is_owned();
    // SAFETY: the shifted position is below the root's number of slots; it is live.
    let mut link = unsafe { *root.slot((position >> (POSITION_BITS - BITS_MAX)) as usize) };
    owned &= link.is_owned();
    if link.is_node() {
        let index = (position << BITS_MAX).wrapping_shr(link.shift());
        // SAFETY: the shifted rest is below the number of slots; a live node's children are live.
        link = unsafe { *link.slot(index as usize) };
        owned &= link.is_owned();
    }
    if !link.is_ordinary_page() {
        return Search::Unknown;
    }
    // SAFETY: the link is to a live ordinary page.
    match unsafe { link.page().find_first(hash, eq) } {
        Ok(place) => Search::Found(place, owned),
        // SAFETY: as above.
        Err(false) => Search::Missing(owned.then(|| unsafe { link.page().vacant(hash) })),
        Err(true) => Search::Unknown,
    }
}

/// Asks for the lines that [`find_fast`] will read of a page; the root is live, and nobody changes
/// what it holds meanwhile.
#[inline(always)]
pub(super) unsafe fn prefetch<K, V>(root: Link<K, V>, position: u64, hash: u64) {
    let (mut link, mut rest) = (root, position);
    while link.is_node() {
        // SAFETY: the shifted rest is below the number of slots; a live node's children are live.
        let child = unsafe { *link.slot(rest.wrapping_shr(link.shift()) as usize) };
        rest = rest.unbounded_shl(link.bits());
        link = child;
    }
    if link.is_ordinary_page() {
        // SAFETY: the link is to a live ordinary page.
        unsafe { link.page().prefetch_first(hash) }
    }
}

/// Finds an entry below a root, wherever it is; the root is live, and nobody changes what it holds
/// meanwhile.
pub(super) unsafe fn find<K, V>(
    root: Link<K, V>,
    position: u64,
    hash: u64,
    eq: impl FnMut(&K) -> bool,
) -> Search<K, V> {
    let (mut link, mut rest, mut owned) = (root, position, root.is_owned());
    while link.is_node() {
        // SAFETY: the shifted rest is below the number of slots; a live node's children are live.
        let child = unsafe { *link.slot(rest.wrapping_shr(link.shift()) as usize) };
        rest = rest.unbounded_shl(link.bits());
        owned &= child.is_owned();
        link = child;
    }
    if link.is_null() {
        return Search::Missing(None);
    }
    // SAFETY: the link is to a live page.
    match unsafe { link.page().find(hash, eq) } {
        Some(place) => Search::Found(place, owned),
        None => Search::Missing(None),
    }
}
