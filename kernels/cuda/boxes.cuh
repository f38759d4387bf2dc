// Boxes: regression, squaring, windows, overlap, with the roundings of `models::cascade`, operation by operation (the
// kernels are compiled without fused multiply-add, so that the bits are those of the Rust).
#pragma once
#include "picture.cuh"
#include "portable.h"

// x1, y1, x2, y2 in frame pixels.
typedef float4 Box;

static __device__ __forceinline__ Box shifted(Box box, float4 reg, float width, float height) {
    return make_float4(box.x + reg.x * width, box.y + reg.y * height, box.z + reg.z * width, box.w + reg.w * height);
}

// `models::cascade::regress::regress_plain`, after P-Net.
static __device__ __forceinline__ Box regress_plain(Box box, float4 reg) {
    return shifted(box, reg, box.z - box.x, box.w - box.y);
}

// `regress_inclusive`, after R-Net and O-Net.
static __device__ __forceinline__ Box regress_inclusive(Box box, float4 reg) {
    return shifted(box, reg, box.z - box.x + 1.0f, box.w - box.y + 1.0f);
}

// `squared`: about the centre, as long as the longer side.
static __device__ __forceinline__ Box squared(Box box) {
    const float width = box.z - box.x, height = box.w - box.y;
    const float side = fmaxf(width, height);
    const float x1 = box.x + width * 0.5f - side * 0.5f, y1 = box.y + height * 0.5f - side * 0.5f;
    return make_float4(x1, y1, x1 + side, y1 + side);
}

// Towards zero, within what an i32 holds; a value that is no number becomes the least, which is in no frame.
static __device__ __forceinline__ i32 truncated(float value) { return (i32)fminf(fmaxf(value, -1e9f), 1e9f); }

// `models::cascade::proposal::crop_window`; false if no pixel of the box lies in the frame.
static __device__ __forceinline__ bool crop_window(Box box, u32 frame_width, u32 frame_height, Window* window) {
    const i32 x = max(truncated(box.x), 1), y = max(truncated(box.y), 1);
    const i32 end_x = min(truncated(box.z), (i32)frame_width), end_y = min(truncated(box.w), (i32)frame_height);
    if (end_x < x || end_y < y) return false;
    *window = {(u32)x - 1, (u32)y - 1, (u32)(end_x - x) + 1, (u32)(end_y - y) + 1};
    return true;
}

// How the overlap of two boxes is measured: `models::cascade::nms::Overlap`.
enum Overlap { OVERLAP_UNION, OVERLAP_SMALLER };

template <Overlap OVERLAP>
static __device__ __forceinline__ float overlap_of(Box a, Box b) {
    const float extra = OVERLAP == OVERLAP_UNION ? 0.0f : 1.0f;
    const float area_a = (a.z - a.x + extra) * (a.w - a.y + extra);
    const float area_b = (b.z - b.x + extra) * (b.w - b.y + extra);
    const float width = fmaxf(fminf(a.z, b.z) - fmaxf(a.x, b.x) + extra, 0.0f);
    const float height = fmaxf(fminf(a.w, b.w) - fmaxf(a.y, b.y) + extra, 0.0f);
    const float common = width * height;
    const float whole = OVERLAP == OVERLAP_UNION ? area_a + area_b - common : fminf(area_a, area_b);
    // Most boxes have nothing in common, and a division is the dearest step. Two empty boxes, whose quotient is no number,
    // overlap nothing either.
    return common == 0.0f ? 0.0f : common / whole;
}
