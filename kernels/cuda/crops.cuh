// Crops: what R-Net and O-Net take of the frame.
#pragma once
#include "boxes.cuh"
#include "conv.cuh"
#include "picture.cuh"
#include "status.cuh"

// AHEAD: pixels whose sums a thread has on their way at once.
template <u32 SIDE, u32 AHEAD, u32 THREADS, Rgb (*SUM)(const PictureView&, Window)>
static __device__ __forceinline__ void window_resized(uint2* s_x, const PictureView& picture, Window window, u32 y_first,
                                                      u32 n_rows) {
    const u32 n = n_rows * SIDE;
    for (u32 first = computed_here(threadIdx.x); first < n; first += AHEAD * THREADS) {
        Rgb sums[AHEAD];
        Window windows[AHEAD];
#pragma unroll
        for (u32 k = 0; k < AHEAD; k++) {
            // Beyond the last pixel that one once more, so that no branch stands between the loads.
            const u32 i = min(first + k * THREADS, n - 1);
            windows[k] = area_window(window, i % SIDE, y_first + i / SIDE, SIDE, SIDE);
            sums[k] = SUM(picture, windows[k]);
        }
#pragma unroll
        for (u32 k = 0; k < AHEAD; k++) {
            const u32 i = first + k * THREADS;
            if (i < n) s_x[i] = area_mean(sums[k], windows[k]);
        }
    }
}

// The box's pixels that lie in the frame, resized to SIDE x SIDE, of which rows y_first .. y_first + n_rows (at most ROWS).
// All THREADS of the block call it.
template <u32 SIDE, u32 ROWS, u32 THREADS>
static __device__ __forceinline__ void crop_resized(uint2* s_x, const PictureView& picture, Box box, u32 y_first, u32 n_rows) {
    Window window = {0, 0, 1, 1};
    // A box without a pixel in the frame was dropped before.
    crop_window(box, picture.width, picture.height, &window);
    // A pixel's window may be one wider than its share, rounded up.
    if ((window.width / SIDE + 2) * (window.height / SIDE + 2) <= MOST_SUMMED) {
        constexpr u32 ROUNDS = (ROWS * SIDE + THREADS - 1) / THREADS;
        window_resized<SIDE, ROUNDS < 3 ? ROUNDS : 3, THREADS, sum_of_few>(s_x, picture, window, y_first, n_rows);
    } else {
        // Boxes that large are rare, and several sums in bands at once would be the registers that decide.
        window_resized<SIDE, 1, THREADS, sum_of_many>(s_x, picture, window, y_first, n_rows);
    }
}
