// Layers without weights: a thread makes 8 neighbouring channels of one output pixel, a warp the unit vector of one.
#pragma once
#include "layer.cuh"

// Pixels of a window that are loaded at once: 3 x 3.
constexpr u32 POOLED = 9;

struct Eight {
    float v[8];
};

static __device__ __forceinline__ Eight unpack_eight(const uint4& four) {
    const u32 words[4] = {four.x, four.y, four.z, four.w};
    Eight values;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        values.v[2 * i] = __half2float(__ushort_as_half((u16)(words[i] & 0xffff)));
        values.v[2 * i + 1] = __half2float(__ushort_as_half((u16)(words[i] >> 16)));
    }
    return values;
}

static __device__ __forceinline__ Eight load_eight(const __half* g_from) { return unpack_eight(*(const uint4*)g_from); }

static __device__ __forceinline__ void store_eight(__half* g_to, const Eight& values) {
    const float(&v)[8] = values.v;
    *(uint4*)g_to = make_uint4(pack_halves(v[0], v[1]), pack_halves(v[2], v[3]), pack_halves(v[4], v[5]), pack_halves(v[6], v[7]));
}

// The values move up, and another comes last: what makes one after the other needs no code for each.
static __device__ __forceinline__ void append(Eight& values, float last) {
#pragma unroll
    for (u32 i = 0; i < 7; i++) values.v[i] = values.v[i + 1];
    values.v[7] = last;
}

// A value that is no number stays, so that a fault is seen at the end.
static __device__ __forceinline__ float larger(float a, float b) { return b > a || b != b ? b : a; }

// Channels c .. c + 8 of a pixel, or zeros where there is none.
static __device__ __forceinline__ Eight eight_of(const Plane& plane, u32 item, u32 y, u32 x, u32 c) {
    if (plane.start == nullptr || y >= plane.h || x >= plane.w || c >= plane.c) return {};
    return load_eight(plane.start + item * plane.item + (y * plane.w + x) * plane.stride + c);
}

static __device__ __forceinline__ Eight pooled(const LayerStep& s, u32 item, u32 y, u32 x, u32 c) {
    const bool is_max = s.kind == LAYER_MAX;
    const i32 top = (i32)(y * s.stride) - (i32)s.pad_h, left = (i32)(x * s.stride) - (i32)s.pad_w;
    const u32 y_first = (u32)max(top, 0), y_end = (u32)min(top + (i32)s.kernel_h, (i32)s.x.h);
    const u32 x_first = (u32)max(left, 0), x_end = (u32)min(left + (i32)s.kernel_w, (i32)s.x.w);
    const u32 columns = x_end - x_first, count = (y_end - y_first) * columns;
    const __half* g_next = s.x.start + item * s.x.item + (y_first * s.x.w + x_first) * s.x.stride + c;
    // Beyond the window comes what changes nothing.
    const u32 none = is_max ? 0xfc00fc00u : 0;
    u32 column = 0;
    Eight all;
#pragma unroll
    for (u32 i = 0; i < 8; i++) all.v[i] = is_max ? __uint_as_float(0xff800000u) : 0.0f;
    for (u32 first = 0; first < count; first += POOLED) {
        // All under way at once; beyond the window nothing is read.
        uint4 some[POOLED];
#pragma unroll
        for (u32 j = 0; j < POOLED; j++) {
            some[j] = first + j < count ? *(const uint4*)g_next : make_uint4(none, none, none, none);
            const bool ends_row = ++column == columns;
            g_next += ends_row ? (s.x.w - columns + 1) * s.x.stride : s.x.stride;
            column = ends_row ? 0 : column;
        }
#pragma unroll
        for (u32 j = 0; j < POOLED; j++) {
            const Eight one = unpack_eight(some[j]);
#pragma unroll
            for (u32 i = 0; i < 8; i++) all.v[i] = is_max ? larger(all.v[i], one.v[i]) : all.v[i] + one.v[i];
        }
    }
    if (!is_max) {
#pragma unroll 1
        for (u32 i = 0; i < 8; i++) append(all, all.v[0] / (float)count);
    }
    return all;
}

static __device__ __forceinline__ Eight normed(const LayerStep& s, u32 item, u32 y, u32 x, u32 c) {
    const __half* g_pixel = s.x.start + item * s.x.item + (y * s.x.w + x) * s.x.stride;
    Eight all = {};
#pragma unroll 1
    for (u32 i = 0; i < 8; i++) {
        const u32 centre = c + i, before = s.size / 2;
        const u32 first = centre > before ? centre - before : 0, end = min(centre + (s.size - 1) / 2 + 1, s.x.c);
        float squares = 0.0f;
        for (u32 other = first; other < end; other++) {
            const float value = __half2float(g_pixel[other]);
            squares += value * value;
        }
        append(all, __half2float(g_pixel[centre]) / powf(s.k + s.alpha / (float)s.size * squares, s.beta));
    }
    return all;
}

static __device__ __forceinline__ Eight maxed(const LayerStep& s, u32 item, u32 y, u32 x, u32 c) {
    const __half* g_first = s.x.start + item * s.x.item + (y * s.x.w + x) * s.x.stride + c * s.size;
    Eight all = {};
#pragma unroll 1
    for (u32 i = 0; i < 8; i++) {
        float most = __half2float(g_first[i * s.size]);
        for (u32 piece = 1; piece < s.size; piece++) most = larger(most, __half2float(g_first[i * s.size + piece]));
        append(all, most);
    }
    return all;
}

static __device__ __forceinline__ Eight added(const LayerStep& s, u32 item, u32 y, u32 x, u32 c) {
    const Eight a = eight_of(s.x, item, y, x, c), b = eight_of(s.second, item, y, x, c);
    Eight all;
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        const float sum = a.v[i] + b.v[i];
        all.v[i] = sum > 0.0f ? sum : sum * s.negative;
    }
    return all;
}

// Threads beyond the last output do nothing.
static __device__ __forceinline__ void pointwise(const LayerStep& s, u32 n, u32 block) {
    const u32 eights = s.y.c / 8, at = block * blockDim.x + threadIdx.x;
    const u32 c = at % eights * 8, x = at / eights % s.y.w, y = at / eights / s.y.w % s.y.h, item = at / eights / s.y.w / s.y.h;
    wait_for_before();
    if (item >= n) return;
    Eight values;
    switch (s.kind) {
        case LAYER_ADD: values = added(s, item, y, x, c); break;
        case LAYER_NORM: values = normed(s, item, y, x, c); break;
        case LAYER_MAXOUT: values = maxed(s, item, y, x, c); break;
        default: values = pooled(s, item, y, x, c);
    }
    store_eight(s.y.start + item * s.y.item + (y * s.y.w + x) * s.y.stride + c, values);
}

// A warp for each pixel of each item; x / max(|x|, 1e-12). A lane has eight channels at a time.
static __device__ __forceinline__ void unit(const LayerStep& s, u32 n, u32 block) {
    const u32 lane = threadIdx.x % 32, pixels = s.y.h * s.y.w;
    const u32 at = block * (blockDim.x / 32) + threadIdx.x / 32, item = at / pixels, pixel = at % pixels;
    wait_for_before();
    if (item >= n) return;
    const __half* g_x = s.x.start + item * s.x.item + pixel * s.x.stride;
    float* g_y = (float*)s.y.start + item * s.y.item + pixel * s.y.stride;
    float squares = 0.0f;
#pragma unroll 2
    for (u32 c = 8 * lane; c < s.y.c; c += 8 * 32) {
        const Eight one = load_eight(g_x + c);
#pragma unroll
        for (u32 i = 0; i < 8; i++) squares += one.v[i] * one.v[i];
    }
    for (u32 apart = 16; apart > 0; apart /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, apart);
    const float length = fmaxf(sqrtf(squares), 1e-12f);
#pragma unroll 1
    for (u32 c = 8 * lane; c < s.y.c; c += 8 * 32) {
        const Eight one = load_eight(g_x + c);
        float4* g_to = (float4*)(g_y + c);
        g_to[0] = make_float4(one.v[0] / length, one.v[1] / length, one.v[2] / length, one.v[3] / length);
        g_to[1] = make_float4(one.v[4] / length, one.v[5] / length, one.v[6] / length, one.v[7] / length);
    }
}
