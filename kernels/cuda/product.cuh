// A convolution's tile as a matrix product: BM pixels x BN output channels, the sum over taps and input channels in steps of
// 64, which come to shared memory by asynchronous copies while earlier ones are multiplied.
//
// The pixels' rows of a step (64 halves, 8 chunks of 16 bytes, each of one tap) are gathered straight from the activation:
// the matrix of all windows never exists. Chunk c of row r lies at place c ^ (r % 8), so that the 8 rows that one ldmatrix
// reads lie in different banks. Weights are copied as they lie in device memory, in the order of `conv.cuh`'s fragments.
//
// Splits share a tile's sum where there are few tiles: each writes its sums, and the one that comes last adds them up, in the
// order of the splits whichever came last.
#pragma once
#include "conv.cuh"
#include "layer.cuh"

constexpr u32 PRODUCT_THREADS = 128, PRODUCT_K = 64;

// Where a pixel's window begins.
struct WindowRow {
    i32 offset;   // halves from the activation's start to the window's first pixel; may lie before it
    i32 y, x;
};

template <u32 BM, u32 BN, u32 WARPS_M, u32 STAGES>
struct Product {
    static constexpr u32 WARPS_N = 4 / WARPS_M, WM = BM / WARPS_M, WN = BN / WARPS_N, MT = WM / 16, NT = WN / 8;
    static constexpr u32 ROWS = BM / 16;                       // of a thread's copies, 16 apart
    static constexpr u32 A_BYTES = BM * PRODUCT_K * 2, B_BYTES = BN * PRODUCT_K * 2, STAGE = A_BYTES + B_BYTES;
    static constexpr u32 SHARED = STAGES * STAGE;
    static_assert(MT >= 1 && NT >= 1 && WARPS_M * WARPS_N * 32 == PRODUCT_THREADS, "four warps share the tile");

    const LayerStep& s;
    unsigned char* const s_raw;
    const u32 n, warp, lane;
    u32 m_first, n_first, n_pixels, k_steps;
    // This thread's next copies of the activation: column of a step, tap and channel.
    u32 dy, dx, channel;
    WindowRow rows[ROWS];

    __device__ __forceinline__ Product(const LayerStep& step, unsigned char* s_memory, u32 n_items)
        : s(step), s_raw(s_memory), n(n_items), warp(threadIdx.x / 32), lane(threadIdx.x % 32) {}

    __device__ __forceinline__ void begin(u32 m_tile, u32 n_tile, u32 k_first) {
        m_first = m_tile * BM, n_first = n_tile * BN;
        const u32 in_item = s.y.h * s.y.w;
        n_pixels = n * in_item;
        k_steps = (s.kernel_h * s.kernel_w * s.x.c + 15) / 16;
        const u32 k = PRODUCT_K * k_first + 8 * (threadIdx.x % 8), tap = k / s.x.c;
        dy = tap / s.kernel_w, dx = tap % s.kernel_w, channel = k % s.x.c;
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const u32 m = m_first + threadIdx.x / 8 + 16 * i, item = m / in_item, pixel = m % in_item;
            const i32 y = (i32)(pixel / s.y.w * s.stride) - (i32)s.pad_h, x = (i32)(pixel % s.y.w * s.stride) - (i32)s.pad_w;
            // A row beyond the last pixel lies above the input: all its values are zeros.
            rows[i] = {(i32)(item * s.x.item) + (y * (i32)s.x.w + x) * (i32)s.x.stride, m < n_pixels ? y : -0x10000, x};
        }
    }

    // Starts the copies of step `kt` into a stage.
    __device__ __forceinline__ void copy(u32 stage, u32 kt) {
        unsigned char* s_a = s_raw + stage * STAGE;
        const u32 column = threadIdx.x % 8, row = threadIdx.x / 8;
        const i32 tap = (i32)((dy * s.x.w + dx) * s.x.stride + channel);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const u32 r = row + 16 * i;
            // Weights beyond the last tap are zeros; zeros here keep what is no number out of the sum.
            const bool valid = dy < s.kernel_h && (u32)(rows[i].y + (i32)dy) < s.x.h && (u32)(rows[i].x + (i32)dx) < s.x.w;
            const __half* g_from = s.x.start + (valid ? rows[i].offset + tap : 0);
            cp_async_16(s_a + r * 128 + ((column ^ (r % 8)) << 4), g_from, valid);
        }
        for (channel += PRODUCT_K; channel >= s.x.c;) {
            channel -= s.x.c;
            if (++dx == s.kernel_w) dx = 0, dy++;
        }
        unsigned char* s_b = s_a + A_BYTES;
        const u32 tiles = (s.y.c + 7) / 8;
#pragma unroll
        for (u32 i = 0; i < BN * 8 / PRODUCT_THREADS; i++) {
            const u32 chunk = threadIdx.x + PRODUCT_THREADS * i, tile = n_first / 8 + chunk / 64, step = 4 * kt + chunk % 64 / 16;
            const bool valid = tile < tiles && step < k_steps;
            const uint2* g_from = s.weights + (valid ? (tile * k_steps + step) * 32 + 2 * (chunk % 16) : 0);
            cp_async_16(s_b + 16 * chunk, g_from, valid);
        }
    }

    __device__ __forceinline__ void multiply(float (&r_acc)[MT][NT][4], u32 stage) const {
        const unsigned char* s_a = s_raw + stage * STAGE;
        const unsigned char* s_b = s_a + A_BYTES;
        const u32 m = warp % WARPS_M * WM, tile = warp / WARPS_M * NT;
#pragma unroll
        for (u32 step = 0; step < PRODUCT_K / 16; step++) {
            u32 r_a[MT][4];
#pragma unroll
            for (u32 i = 0; i < MT; i++) {
                const u32 r = m + 16 * i + lane % 16, column = 2 * step + lane / 16;
                ldmatrix_x4(r_a[i], s_a + r * 128 + ((column ^ (r % 8)) << 4));
            }
#pragma unroll
            for (u32 j = 0; j < NT; j++) {
                const uint2 two = ((const uint2*)s_b)[((tile + j) * 4 + step) * 32 + lane];
                const u32 r_b[2] = {two.x, two.y};
#pragma unroll
                for (u32 i = 0; i < MT; i++) mma_m16n8k16(r_acc[i][j], r_a[i], r_b);
            }
        }
    }

    // The sums of all splits of the tile, if this block is the last of them to come; false for the others.
    __device__ __forceinline__ bool joined(float (&r_acc)[MT][NT][4], u32 tile, u32 split) {
        float4* g_mine = s.partial + (u64)(tile * s.splits) * (MT * NT * PRODUCT_THREADS) + threadIdx.x;
#pragma unroll
        for (u32 r = 0; r < MT * NT; r++) {
            const float(&four)[4] = r_acc[r / NT][r % NT];
            g_mine[(split * MT * NT + r) * PRODUCT_THREADS] = make_float4(four[0], four[1], four[2], four[3]);
        }
        __threadfence();
        __syncthreads();
        // Where the stages were, of which nobody reads any more.
        u32* s_before = (u32*)s_raw;
        if (threadIdx.x == 0) *s_before = atomicAdd(s.arrived + tile, 1);
        __syncthreads();
        if (*s_before + 1 != s.splits) return false;
        __threadfence();
        // A split's sums are all under way at once; zero plus the first is the first.
#pragma unroll
        for (u32 r = 0; r < 4 * MT * NT; r++) r_acc[r / 4 / NT][r / 4 % NT][r % 4] = 0.0f;
        for (u32 other = 0; other < s.splits; other++) {
#pragma unroll
            for (u32 r = 0; r < MT * NT; r++) {
                const float4 more = load_shared_by_blocks(g_mine + (other * MT * NT + r) * PRODUCT_THREADS);
                float(&four)[4] = r_acc[r / NT][r % NT];
                four[0] += more.x, four[1] += more.y, four[2] += more.z, four[3] += more.w;
            }
        }
        if (threadIdx.x == 0) s.arrived[tile] = 0;
        return true;
    }

    // Bias, scale, residual and activation, and into the output.
    __device__ __forceinline__ void finish(const float (&r_acc)[MT][NT][4]) const {
        const u32 in_item = s.y.h * s.y.w;
#pragma unroll
        for (u32 i = 0; i < 2 * MT; i++) {
            const u32 m = m_first + warp % WARPS_M * WM + 8 * i + lane / 4, item = m / in_item, pixel = m % in_item;
            if (m >= n_pixels) continue;
#pragma unroll
            for (u32 j = 0; j < NT; j++) {
                const u32 c = n_first + warp / WARPS_M * WN + 8 * j + 2 * (lane % 4);
                if (c >= s.y.c) continue;
                float low = s.scale * (r_acc[i / 2][j][2 * (i % 2)] + s.bias[c]);
                float high = s.scale * (r_acc[i / 2][j][2 * (i % 2) + 1] + s.bias[c + 1]);
                if (s.second.start != nullptr) {
                    const __half2* g_two = (const __half2*)(s.second.start + item * s.second.item + pixel * s.second.stride + c);
                    const float2 two = __half22float2(*g_two);
                    low = two.x + low, high = two.y + high;
                }
                low = prelu(low, s.slope[c]), high = prelu(high, s.slope[c + 1]);
                const u32 at = item * s.y.item + pixel * s.y.stride + c;
                if (s.floats) *(float2*)((float*)s.y.start + at) = make_float2(low, high);
                else *(u32*)(s.y.start + at) = pack_halves(low, high);
            }
        }
    }

    __device__ __forceinline__ void run(u32 block) {
        const u32 k_tiles = (s.kernel_h * s.kernel_w * s.x.c + PRODUCT_K - 1) / PRODUCT_K;
        const u32 split = block % s.splits, tile = block / s.splits, n_tiles = (s.y.c + BN - 1) / BN;
        const u32 k_first = split * k_tiles / s.splits, k_count = (split + 1) * k_tiles / s.splits - k_first;
        begin(tile / n_tiles, tile % n_tiles, k_first);
#pragma unroll
        for (u32 i = 0; i < STAGES - 1; i++) {
            if (i < k_count) copy(i, k_first + i);
            cp_async_commit();
        }
        float r_acc[MT][NT][4] = {};
        for (u32 i = 0; i < k_count; i++) {
            cp_async_wait<STAGES - 2>();
            // Everybody's copies of this step are there, and everybody is done with the stage that is filled next.
            __syncthreads();
            if (i + STAGES - 1 < k_count) copy((i + STAGES - 1) % STAGES, k_first + i + STAGES - 1);
            cp_async_commit();
            multiply(r_acc, i % STAGES);
        }
        if (s.splits > 1 && !joined(r_acc, tile, split)) return;
        finish(r_acc);
    }
};
