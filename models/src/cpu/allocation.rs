//! A warm engine allocates nothing: every call to the allocator is counted, for each thread.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use super::{CpuStages, Network, Pool, Simd};
use crate::cascade::{PNetMap, StageNets};
use crate::graph::Shape;
use crate::net;
use crate::synthetic;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: handed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: handed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Whether doing something again and again soon calls the allocator no more. Not at the second time: which thread takes
/// which part is the system's to say, and each thread's buffers grow when it first has the largest part.
fn settles(mut body: impl FnMut()) -> bool {
    let mut quiet = 0;
    for _ in 0..1000 {
        let before = CALLS.get();
        body();
        quiet = if CALLS.get() == before { quiet + 1 } else { 0 };
        if quiet == 10 {
            return true;
        }
    }
    false
}

#[test]
fn warm_networks_do_not_allocate() {
    assert!(!settles(|| drop(std::hint::black_box(Box::new(7)))), "the counter counts");
    for threads in [1, 2] {
        let pool = Arc::new(Pool::new(threads));
        for graph in [net::dlib_resnet29(), net::onet()] {
            let weights = synthetic::weights([&graph]);
            let mut network =
                Network::new(&graph, &weights, Simd::detect(), Arc::clone(&pool)).unwrap();
            let input = synthetic::input(1, graph.shape(graph.input()));
            assert!(settles(|| network.run(&input).unwrap()), "{}", graph.name());
        }
        let weights = synthetic::weights([&net::pnet(12, 12), &net::rnet(), &net::onet()]);
        let mut stages = CpuStages::new(&weights, Simd::detect(), pool).unwrap();
        // A frame has levels of several sizes, and not every frame as many crops.
        let levels = [(61, 90), (43, 64), (12, 17)]
            .map(|(h, w)| (h, w, synthetic::input(1, Shape { h, w, c: 3 })));
        let mut map = PNetMap::default();
        let settled = settles(|| {
            for (h, w, level) in &levels {
                stages.pnet(level, *h, *w, &mut map).unwrap();
            }
        });
        assert!(settled, "P-Net on {threads} threads");
        let crops = synthetic::input(1, Shape { h: 9 * 48, w: 48, c: 3 });
        let (mut rnet, mut onet) = (Vec::new(), Vec::new());
        let settled = settles(|| {
            for n in [5, 9, 1] {
                stages.rnet(&crops[..n * 24 * 24 * 3], n, &mut rnet).unwrap();
                stages.onet(&crops[..n * 48 * 48 * 3], n, &mut onet).unwrap();
            }
        });
        assert!(settled, "R-Net and O-Net on {threads} threads");
    }
}
