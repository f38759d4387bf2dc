//! Places: a plan's views tied to memory for one run, checked once so that kernels need not check.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::aligned::Aligned;
use crate::plan::{INPUT, Plan, View};

/// The buffers of one runner, kept between runs and grown as needed.
#[derive(Debug, Default)]
pub(super) struct Arena {
    buffers: Vec<Aligned>,
    /// The rooms of the current run, kept so that a run does not allocate.
    rooms: Vec<Room>,
    /// One for each thread that has needed it.
    scratch: Vec<Mutex<Aligned>>,
}

/// Where a buffer begins and how long it is. Dangling outside a run; only [`Memory`] looks at it, which borrows the buffers.
#[derive(Clone, Copy, Debug)]
struct Room(*mut f32, usize);

// SAFETY: an address; who reads or writes through it states why nobody writes there meanwhile.
unsafe impl Send for Room {}
// SAFETY: as above.
unsafe impl Sync for Room {}

/// The memory of one run: where the caller's input and the arena's buffers begin, and how long they are.
pub(super) struct Memory<'a> {
    rooms: &'a [Room],
    n: usize,
    scratch: Scratch<'a>,
    /// The input and the buffers stay borrowed as long as pointers into them are about.
    _borrows: (&'a [f32], &'a mut [Aligned]),
}

/// A room for each thread, for what a step keeps to itself.
#[derive(Clone, Copy)]
pub(super) struct Scratch<'a>(&'a [Mutex<Aligned>]);

impl<'a> Scratch<'a> {
    /// A thread's own.
    pub(super) fn of(self, thread: usize) -> MutexGuard<'a, Aligned> {
        // Written before it is read, so that of a part that panicked is as good as any.
        self.0[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A view of `n` items in memory. Holding one proves that all its values lie inside their buffer.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Channel 0 of the first pixel.
    pub(super) start: *mut f32,
    pub(super) view: View,
    pub(super) n: usize,
}

// SAFETY: a place is a checked address; who reads or writes through it states why nobody writes there meanwhile.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Arena {
    /// Ties a plan to its input and to this arena for a run over `n` items.
    ///
    /// # Panics
    /// If the input is not `n` items long: a bug of the caller, which made both.
    pub(super) fn memory<'a>(
        &'a mut self,
        plan: &Plan,
        input: &'a [f32],
        n: usize,
        threads: usize,
    ) -> Memory<'a> {
        assert_eq!(input.len(), plan.buffers[INPUT] * n, "{}: input of {n} items", plan.name);
        let extra = plan.buffers.len().saturating_sub(self.buffers.len() + 1);
        self.buffers.extend((0..extra).map(|_| Aligned::default()));
        // The input is never written: no step's output lies in `INPUT`, which `Memory::output` checks.
        self.rooms.clear();
        self.rooms.push(Room(input.as_ptr().cast_mut(), input.len()));
        for (buffer, &len) in self.buffers.iter_mut().zip(&plan.buffers[INPUT + 1..]) {
            buffer.reserve(len * n);
            self.rooms.push(Room(buffer.as_mut_ptr(), buffer.len()));
        }
        if self.scratch.len() < threads {
            self.scratch.resize_with(threads, Mutex::default);
        }
        Memory {
            rooms: &self.rooms,
            n,
            scratch: Scratch(&self.scratch),
            _borrows: (input, &mut self.buffers),
        }
    }

    /// An output after a run: `n` items, dense.
    pub(super) fn dense(&self, view: &View, n: usize) -> &[f32] {
        &self.buffers[view.buffer - 1][..n * view.item()]
    }
}

impl Memory<'_> {
    /// What the run's threads keep to themselves.
    pub(super) fn scratch(&self) -> Scratch<'_> {
        self.scratch
    }

    /// The place of a view that is read.
    pub(super) fn input(&self, view: View) -> Place {
        let Room(start, len) = self.rooms[view.buffer];
        let fits = view.offset + view.shape.c <= view.stride && self.n * view.item() <= len;
        assert!(fits, "{view:?} lies inside its buffer");
        Place { start: start.wrapping_add(view.offset), view, n: self.n }
    }

    /// The place of a view that is written.
    pub(super) fn output(&self, view: View) -> Place {
        assert_ne!(view.buffer, INPUT, "the caller's input is not written");
        self.input(view)
    }
}

impl Place {
    /// Pixels of all items.
    pub(super) fn pixels(&self) -> usize {
        self.n * self.view.shape.pixels()
    }

    /// A pixel's channels; `pixel` counts over all items.
    ///
    /// # Safety
    /// Nobody writes them meanwhile.
    pub(super) unsafe fn pixel<'a>(&self, pixel: usize) -> &'a [f32] {
        assert!(pixel < self.pixels());
        // SAFETY: the pixel is inside the view, the view inside its buffer (`Memory::input`).
        unsafe {
            let start = self.start.add(pixel * self.view.stride);
            std::slice::from_raw_parts(start, self.view.shape.c)
        }
    }

    /// A pixel's channels, to be written.
    ///
    /// # Safety
    /// Nobody else reads or writes them meanwhile.
    pub(super) unsafe fn pixel_mut<'a>(&self, pixel: usize) -> &'a mut [f32] {
        assert!(pixel < self.pixels());
        // SAFETY: the pixel is inside the view, the view inside its buffer (`Memory::output`).
        unsafe {
            let start = self.start.add(pixel * self.view.stride);
            std::slice::from_raw_parts_mut(start, self.view.shape.c)
        }
    }
}
