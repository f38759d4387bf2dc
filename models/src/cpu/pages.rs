//! Large pages: what a start and a frame's longest loops stream through is asked to lie in them.
//!
//! Owns one hint to the system. Refuses to depend on it: where it is not heeded, only time is lost. FaceNet's weights,
//! as the file holds them and in the kernels' order, are 35,000 pages of 4 KiB; with the hint a whole start has 4,300 faults
//! (`perf stat -e minor-faults threshold --threads 1 --model facenet bench start`).

/// Below this a run seldom holds one whole large page (2 MiB on x86-64 and on aarch64 with pages of 4 KiB).
const WORTH_BYTES: usize = 4 << 20;
/// The hint's range begins and ends on a page's boundary; no page is longer than this on what we run on.
const PAGE_BYTES: usize = 64 << 10;

/// Asks for large pages behind the room of a long vector. To be called before the room is first written.
pub(crate) fn prefer_large<T>(room: &mut Vec<T>) {
    let bytes = room.capacity() * size_of::<T>();
    if bytes < WORTH_BYTES {
        return;
    }
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.addr().wrapping_neg() % PAGE_BYTES;
    let whole = (bytes - skipped) / PAGE_BYTES * PAGE_BYTES;
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the range lies within the vector's own room, which the exclusive borrow keeps from moving, and this advice
        // changes what backs memory, never what it holds.
        let heeded = unsafe { madvise(start.add(skipped).cast(), whole, Advice::LinuxHugepage) };
        // A kernel without large pages says so; then there are none.
        let _ = heeded;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = whole;
}
