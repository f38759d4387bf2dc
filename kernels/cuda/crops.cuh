// Crops: what R-Net and O-Net take of the frame.
#pragma once
#include "boxes.cuh"
#include "conv.cuh"
#include "frame.cuh"
#include "status.cuh"

// Mirrors `launch::crops::Params`.
struct CropsParams {
    FrameView frame;
    const Box* boxes;
    __half* features;
    const Status* status;
    Layer convs[4];   // R-Net has three
};
static_assert(sizeof(CropsParams) == 176, "as launch::crops::Params");

// The box's pixels that lie in the frame, resized to SIDE x SIDE, and two zero pixels behind them, which the taps of the
// first layer read beside the last row. All threads of the block call it.
template <u32 SIDE>
static __device__ __forceinline__ void crop_resized(uint2* s_x, const FrameView& frame, Box box) {
    Window window = {0, 0, 1, 1};
    // A box without a pixel in the frame was dropped before.
    crop_window(box, frame.width, frame.height, &window);
    const u32 lanes = lanes_for((window.width + SIDE - 1) / SIDE * ((window.height + SIDE - 1) / SIDE));
    const u32 lane = threadIdx.x % lanes;
    constexpr u32 N = SIDE * SIDE;
    for (u32 first = 0; first < N; first += blockDim.x / lanes) {
        const u32 i = first + threadIdx.x / lanes;
        const u32 at = min(i, N - 1);
        const uint2 value = area_pixel(frame, window, at % SIDE, at / SIDE, SIDE, SIDE, lane, lanes);
        if (lane == 0 && i < N) s_x[i] = value;
    }
    if (threadIdx.x < 2) s_x[N + threadIdx.x] = make_uint2(0, 0);
}
