// A convolution's tile of 8 pixels x 16 or 32 output channels for few pixels, where what counts is how soon a sum ends: four warps
// have a quarter of its terms each, and pixels come from device memory right into the registers that are multiplied.
//
// Channels are the rows of the product and pixels its columns, so that a block reads no more than 8 pixels. A lane has 8 terms in
// a row of its pixel and of each of its channels, 16 bytes: which term is which of an instruction's is of no matter as long as
// both factors agree, and `LayerStep::chunks` has the weights so.
// All of a tile's weights are asked for before `wait_for_before`, each piece by the thread that multiplies it, so that nobody
// waits for another's. Behind it all terms of a thread's pixel are under way at once, AHEAD times 8, so that a sum has at most
// 128 AHEAD terms.
#pragma once
#include "product.cuh"

template <u32 BN, u32 AHEAD>
struct Direct {
    // A warp has 32 terms at a time, a chunk; and a thread OWN results in the end, 16 channels apart.
    static constexpr u32 BM = 8, CHUNK = 32, WARPS = 4, TILES = BN / 8, OWN = BN / 16;
    // Of f32, so that who writes sums does not meet others in a bank, and who reads them few.
    static constexpr u32 ROW = BN + 4;

    const LayerStep& s;
    const u32 lane, warp;
    // Where the pixel's window begins, how far from there this thread's pieces lie, and in bit j whether piece j lies in the input.
    const __half* g_x;
    u32 at[AHEAD], valid;

    __device__ __forceinline__ Direct(const LayerStep& step) : s(step), lane(threadIdx.x % 32), warp(threadIdx.x / 32) {}

    __device__ __forceinline__ void find(u32 m, u32 n_pixels) {
        const u32 in_h = s.x.h, in_w = s.x.w, in_c = s.x.c, in_stride = s.x.stride, kernel_h = s.kernel_h, kernel_w = s.kernel_w;
        const Divided item = Divisor(s.y.h * s.y.w).of(m), pixel = Divisor(s.y.w).of(item.r);
        const i32 x = (i32)(pixel.r * s.stride) - (i32)s.pad_w, top = (i32)(pixel.q * s.stride) - (i32)s.pad_h;
        g_x = s.x.start + ((i32)(item.q * s.x.item) + (top * (i32)in_w + x) * (i32)in_stride);
        // A pixel beyond the last lies above the input: all its values are zeros.
        const i32 y = m < n_pixels ? top : -0x10000;
        const u32 k = CHUNK * warp + 8 * (lane % 4), tap = k / in_c, on = WARPS * CHUNK / in_c;
        u32 dy = tap / kernel_w, dx = tap % kernel_w, channel = k % in_c;
        const u32 on_dy = on / kernel_w, on_dx = on % kernel_w, on_channel = WARPS * CHUNK % in_c;
        valid = 0;
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) {
            at[j] = (dy * in_w + dx) * in_stride + channel;
            const bool inside = dy < kernel_h && (u32)(y + (i32)dy) < in_h && (u32)(x + (i32)dx) < in_w;
            valid |= inside ? 1u << j : 0;
            // Below zero is beyond all, so that the smaller is what has not been passed or what is left of it.
            channel += on_channel;
            dx += on_dx + (channel >= in_c ? 1 : 0);
            channel = min(channel, channel - in_c);
            dy += on_dy + (dx >= kernel_w ? 1 : 0);
            dx = min(dx, dx - kernel_w);
        }
    }

    __device__ __forceinline__ void run(unsigned char* s_raw, u32 n, u32 block) {
        const u32 chunks = (s.kernel_h * s.kernel_w * s.x.c + CHUNK - 1) / CHUNK;
        const u32 n_tiles = (s.y.c + BN - 1) / BN, m_first = block / n_tiles * BM, n_first = block % n_tiles * BN;
        const Divisor in_item(s.y.h * s.y.w);
        const u32 n_pixels = n * in_item.d;
        if (m_first >= n_pixels) return wait_for_before();

        uint4* s_weights = (uint4*)s_raw + warp * TILES * 32 + lane;
        const uint4* g_weights = s.chunks + (n_first / 8 * chunks + warp) * 32 + lane;
#pragma unroll 1
        for (u32 j = 0; j < AHEAD; j++) {
            // Zeros beyond the last: nobody asks how many there are.
            const bool is_there = WARPS * j + warp < chunks;
#pragma unroll
            for (u32 tile = 0; tile < TILES; tile++) {
                const bool is_channel = is_there && n_first + 8 * tile < s.y.c;
                cp_async_16(s_weights + (WARPS * j * TILES + tile) * 32, g_weights + (is_channel ? tile * chunks + WARPS * j : 0) * 32,
                            is_channel);
            }
        }
        cp_async_commit();

        // The results that are this thread's: pixel m, channel c and 16 further on.
        const u32 m = m_first + threadIdx.x / 16, c = n_first + threadIdx.x % 16;
        const Divided item = in_item.of(m);
        const u32 to = item.q * s.y.item + item.r * s.y.stride + c;
        const __half* g_second = s.second.start;
        const u32 from = item.q * s.second.item + item.r * s.second.stride + c;
        float bias[OWN], slope[OWN];
        bool stored[OWN];
#pragma unroll
        for (u32 o = 0; o < OWN; o++) {
            stored[o] = m < n_pixels && c + 16 * o < s.y.c;
            bias[o] = stored[o] ? s.bias[c + 16 * o] : 0.0f;
            slope[o] = stored[o] ? s.slope[c + 16 * o] : 0.0f;
        }
        find(m_first + lane / 4, n_pixels);

        wait_for_before();
        uint4 r_x[AHEAD];
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) r_x[j] = valid >> j & 1 ? *(const uint4*)(g_x + at[j]) : make_uint4(0, 0, 0, 0);
        float residual[OWN];
#pragma unroll
        for (u32 o = 0; o < OWN; o++) residual[o] = g_second != nullptr && stored[o] ? __half2float(g_second[from + 16 * o]) : 0.0f;
        cp_async_wait<0>();
        // Two sums of each result, which do not wait for each other.
        float r_acc[OWN][2][4] = {};
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) {
            const u32 r_b[2][2] = {{r_x[j].x, r_x[j].y}, {r_x[j].z, r_x[j].w}};
#pragma unroll
            for (u32 o = 0; o < OWN; o++) {
                const uint4 low = s_weights[(WARPS * j * TILES + 2 * o) * 32], high = s_weights[(WARPS * j * TILES + 2 * o + 1) * 32];
                const u32 r_a[2][4] = {{low.x, high.x, low.y, high.y}, {low.z, high.z, low.w, high.w}};
#pragma unroll
                for (u32 half = 0; half < 2; half++) mma_m16n8k16(r_acc[o][half], r_a[half], r_b[half]);
            }
        }
        float* s_sums = (float*)(s_raw + WARPS * AHEAD * BN * CHUNK * 2);
#pragma unroll
        for (u32 o = 0; o < OWN; o++) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                const u32 row = 2 * (lane % 4) + i % 2, column = 16 * o + lane / 4 + 8 * (i / 2);
                s_sums[(BM * warp + row) * ROW + column] = r_acc[o][0][i] + r_acc[o][1][i];
            }
        }
        __syncthreads();
#pragma unroll
        for (u32 o = 0; o < OWN; o++) {
            const float* s_own = s_sums + threadIdx.x / 16 * ROW + threadIdx.x % 16 + 16 * o;
            float sum = s_own[0];
#pragma unroll
            for (u32 other = 1; other < WARPS; other++) sum += s_own[other * BM * ROW];
            if (!stored[o]) continue;
            const float value = prelu(residual[o] + s.scale * (sum + bias[o]), slope[o]);
            if (s.floats) ((float*)s.y.start)[to + 16 * o] = value;
            else s.y.start[to + 16 * o] = __float2half_rn(value);
        }
    }
};
