// Convolutions within one block: implicit matrix products on tensor cores, from shared memory to shared memory.
//
// Tiles: 16 pixels (rows of A) x 8 output channels (columns of B) x 16 values of the sum (one tap's channels).
// Activations lie NHWC in rows of `row_of(channels)` halves: 8 more than there are channels, so that the 8 rows that one
// ldmatrix reads fall into different banks. Weights lie in device memory in the order in which lanes take them
// (`models`' [out][kh][kw][in] put in order by `kernels::weights`): for each 8 channels, for each step of the sum, 32 lanes
// x 2 words, so that a warp reads 256 bytes in a row and no shared memory is spent on them.
#pragma once
#include "portable.h"

static __host__ __device__ __forceinline__ constexpr u32 row_of(u32 channels) { return channels + 8; }

// A layer's weights; bias and slope hold as many values as `weights` has output channels, padded to 8.
struct Layer {
    const uint2* weights;
    const float* bias;
    const float* slope;
};
static_assert(sizeof(Layer) == 24, "as launch::Layer");

static __device__ __forceinline__ float prelu(float value, float slope) { return value > 0.0f ? value : value * slope; }

// Steps of the sum whose weights are under way while one is multiplied: the most that divide the sum and keep within 32
// registers. Weights come from L2, some 300 ns off; read where they are used, each step would wait for that.
static __host__ __device__ __forceinline__ constexpr u32 steps_ahead(u32 n, u32 k_steps) {
    u32 ahead = 1;
    for (u32 some = 2; some <= k_steps && some * n <= 16; some++) {
        if (k_steps % some == 0) ahead = some;
    }
    return ahead;
}

// A lane's weights of the first AHEAD steps of N tiles' sums; `weights` lies in device or in shared memory.
template <u32 N, u32 K_STEPS, u32 AHEAD>
struct Ring {
    uint2 r_b[AHEAD][N];

    __device__ __forceinline__ Ring(const uint2* weights, u32 lane) {
        static_assert(K_STEPS % AHEAD == 0, "whole rounds");
#pragma unroll
        for (u32 s = 0; s < AHEAD; s++) {
#pragma unroll
            for (u32 n = 0; n < N; n++) r_b[s][n] = weights[(n * K_STEPS + s) * 32 + lane];
        }
    }
};

// One warp: r_acc += 16 pixels x (8 N) channels over `K_STEPS` steps, in their order. `row(step)` gives the shared address of
// this lane's row: lanes 0..15 the first 8 values of pixel `lane`, lanes 16..31 the last 8 of pixel `lane - 16`.
template <u32 N, u32 K_STEPS, u32 AHEAD, typename Row>
static __device__ __forceinline__ void accumulate(float (&r_acc)[N][4], Ring<N, K_STEPS, AHEAD> ring, const uint2* weights,
                                                  u32 lane, Row row) {
    const auto multiply = [&](u32 step, const uint2 (&r_step)[N]) {
        u32 r_a[4];
        ldmatrix_x4(r_a, row(step));
#pragma unroll
        for (u32 n = 0; n < N; n++) {
            const u32 r_one[2] = {r_step[n].x, r_step[n].y};
            mma_m16n8k16(r_acc[n], r_a, r_one);
        }
    };
#pragma unroll 1
    for (u32 first = 0; first + AHEAD < K_STEPS; first += AHEAD) {
#pragma unroll
        for (u32 s = 0; s < AHEAD; s++) {
            multiply(first + s, ring.r_b[s]);
#pragma unroll
            for (u32 n = 0; n < N; n++) ring.r_b[s][n] = weights[(n * K_STEPS + first + AHEAD + s) * 32 + lane];
        }
    }
#pragma unroll
    for (u32 s = 0; s < AHEAD; s++) multiply(K_STEPS - AHEAD + s, ring.r_b[s]);
}

// The same with weights from device memory, as many steps ahead as may be.
template <u32 N, u32 K_STEPS, typename Row>
static __device__ __forceinline__ void accumulate(float (&r_acc)[N][4], const uint2* g_weights, u32 lane, Row row) {
    const Ring<N, K_STEPS, steps_ahead(N, K_STEPS)> ring(g_weights, lane);
    accumulate(r_acc, ring, g_weights, lane, row);
}

// A layer's fragments into shared memory, as a group of copies of their own; THREADS of the block call it.
template <u32 BYTES, u32 THREADS>
static __device__ __forceinline__ void copy_weights(uint2* s_to, const uint2* g_from) {
    static_assert(BYTES % 16 == 0, "16 bytes at a time");
    for (u32 i = threadIdx.x; i < BYTES / 16; i += THREADS) cp_async_16(s_to + 2 * i, g_from + 2 * i, true);
    cp_async_commit();
}

// Pixels of CHANNELS halves, dense in device memory, into shared rows of `row_of(CHANNELS)`.
template <u32 PIXELS, u32 CHANNELS, u32 THREADS>
static __device__ __forceinline__ void copy_rows(__half* s_to, const __half* g_from) {
    constexpr u32 CHUNKS = CHANNELS / 8;
    for (u32 i = threadIdx.x; i < PIXELS * CHUNKS; i += THREADS) {
        cp_async_16(s_to + i / CHUNKS * row_of(CHANNELS) + 8 * (i % CHUNKS), g_from + 8 * i, true);
    }
    cp_async_commit();
}

// A lane's biases and slopes of N tiles, read before the sums so that nobody waits for them behind.
template <u32 N>
struct Ends {
    float2 r_bias[N], r_slope[N];

    __device__ __forceinline__ Ends(const Layer& layer, u32 n_first, u32 lane) {
#pragma unroll
        for (u32 n = 0; n < N; n++) {
            const u32 channel = 8 * (n_first + n) + 2 * (lane % 4);
            r_bias[n] = *(const float2*)(layer.bias + channel);
            r_slope[n] = *(const float2*)(layer.slope + channel);
        }
    }
    // Bias and PReLU over a lane's two sums of tile n and of the first or second eight rows.
    __device__ __forceinline__ float2 of(const float (&r_acc)[N][4], u32 n, u32 half_tile) const {
        return make_float2(prelu(r_acc[n][2 * half_tile] + r_bias[n].x, r_slope[n].x),
                           prelu(r_acc[n][2 * half_tile + 1] + r_bias[n].y, r_slope[n].y));
    }
};

// Bias and PReLU over a warp's sums of channels 8 `n_first` .., and into rows of `stride` halves. Rows (pixels) at or
// beyond `n_pixels` are not stored.
template <u32 N>
static __device__ __forceinline__ void store(const float (&r_acc)[N][4], const Ends<N>& ends, u32 n_first, __half* s_y,
                                             u32 stride, u32 m_first, u32 n_pixels, u32 lane) {
    const u32 row = m_first + lane / 4, pair = 2 * (lane % 4);
#pragma unroll
    for (u32 n = 0; n < N; n++) {
#pragma unroll
        for (u32 half_tile = 0; half_tile < 2; half_tile++) {
            if (row + 8 * half_tile < n_pixels) {
                const float2 values = ends.of(r_acc, n, half_tile);
                u32* s_to = (u32*)(s_y + (row + 8 * half_tile) * stride + 8 * (n_first + n) + pair);
                *s_to = pack_halves(values.x, values.y);
            }
        }
    }
}

// A lane's weights, biases and slopes of the first layer: all of them, since its sum has three steps.
template <u32 N_TILES>
struct First {
    Ring<N_TILES, 3, 3> weights;
    Ends<N_TILES> ends;

    __device__ __forceinline__ First(const Layer& layer, u32 lane) : weights(layer.weights, lane), ends(layer, 0, lane) {}
};

// The first layer: K x K = 3 x 3 over pixels of 4 values (`area_mean`). One step of the sum is a kernel row, whose middle pixel
// takes two of the four places: its weights in the second are what rounding took from the row's. So a lane's second word of a row
// is the first of the pixel beside. `s_x` has rows of `in_width` pixels.
// Computes rows y_first .. y_first + n_rows of the output (`OUT_W` columns) into `s_y`, whose first row is y_first.
template <u32 OUT_W, u32 N_TILES, u32 WARPS>
static __device__ __forceinline__ void conv_first(__half* s_y, const uint2* s_x, u32 in_width, const First<N_TILES>& layer,
                                                  u32 y_first, u32 n_rows) {
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 n_pixels = n_rows * OUT_W;
    for (u32 m = 16 * warp; m < n_pixels; m += 16 * WARPS) {
        float r_acc[N_TILES][4] = {};
        // Rows beyond the last pixel read the last pixel's window and are not stored.
        const u32 low = min(m + lane / 4, n_pixels - 1), high = min(m + lane / 4 + 8, n_pixels - 1);
        const u32* s_low = (const u32*)(s_x + (y_first + low / OUT_W) * in_width + low % OUT_W) + lane % 4;
        const u32* s_high = (const u32*)(s_x + (y_first + high / OUT_W) * in_width + high % OUT_W) + lane % 4;
#pragma unroll
        for (u32 step = 0; step < 3; step++) {
            const u32 down = 2 * step * in_width;
            const u32 r_a[4] = {s_low[down], s_high[down], s_low[down + 2], s_high[down + 2]};
#pragma unroll
            for (u32 n = 0; n < N_TILES; n++) {
                const u32 r_one[2] = {layer.weights.r_b[step][n].x, layer.weights.r_b[step][n].y};
                mma_m16n8k16(r_acc[n], r_a, r_one);
            }
        }
        store<N_TILES>(r_acc, layer.ends, 0, s_y, row_of(8 * N_TILES), m, n_pixels, lane);
    }
}

// One warp: K x K over rows of IN_C channels (a multiple of 16), pixels m .. m + 16 of `n_pixels` and 8 N channels from
// 8 `n_first` on, whose weights begin at `weights`. `s_x` holds the input from its first row on, IN_W pixels a row.
template <u32 K, u32 IN_W, u32 IN_C, u32 N, u32 AHEAD>
static __device__ __forceinline__ void conv_tile(__half* y, u32 y_stride, const __half* s_x, const uint2* weights,
                                                 const Ring<N, K * K * IN_C / 16, AHEAD>& ring, const Ends<N>& ends,
                                                 u32 n_first, u32 m, u32 n_pixels, u32 lane) {
    static_assert(IN_C % 16 == 0, "whole steps");
    constexpr u32 OUT_W = IN_W - K + 1, STEPS = IN_C / 16;
    const u32 at = min(m + lane % 16, n_pixels - 1);
    const __half* s_row = s_x + (at / OUT_W * IN_W + at % OUT_W) * row_of(IN_C) + 8 * (lane / 16);
    float r_acc[N][4] = {};
    accumulate(r_acc, ring, weights, lane, [&](u32 step) {
        const u32 tap = step / STEPS;
        return s_row + (tap / K * IN_W + tap % K) * row_of(IN_C) + 16 * (step % STEPS);
    });
    store<N>(r_acc, ends, n_first, y, y_stride, m, n_pixels, lane);
}

// The same by all warps of a block: `N_TILES` x 8 output channels, `GROUP` of these at a time in a warp, rows 0 .. n_rows of
// the output.
template <u32 K, u32 IN_W, u32 IN_C, u32 N_TILES, u32 GROUP, u32 WARPS>
static __device__ __forceinline__ void conv_rows(__half* s_y, u32 y_stride, const __half* s_x, const Layer& layer,
                                                 u32 n_rows) {
    static_assert(N_TILES % GROUP == 0, "whole groups");
    constexpr u32 OUT_W = IN_W - K + 1, K_STEPS = K * K * IN_C / 16, GROUPS = N_TILES / GROUP;
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 n_pixels = n_rows * OUT_W, m_tiles = (n_pixels + 15) / 16;
    for (u32 item = warp; item < m_tiles * GROUPS; item += WARPS) {
        const u32 m = 16 * (item / GROUPS), n_first = GROUP * (item % GROUPS);
        const uint2* g_weights = layer.weights + n_first * K_STEPS * 32;
        const Ends<GROUP> ends(layer, n_first, lane);
        const Ring<GROUP, K_STEPS, steps_ahead(GROUP, K_STEPS)> ring(g_weights, lane);
        conv_tile<K, IN_W, IN_C>(s_y, y_stride, s_x, g_weights, ring, ends, n_first, m, n_pixels, lane);
    }
}

// The greater of each of two pairs of halves. A value that is no number stays, so that a fault is seen at the end.
static __device__ __forceinline__ u32 greater_halves(u32 a, u32 b) {
    const __half2 greater = __hmax2_nan(*(const __half2*)&a, *(const __half2*)&b);
    return *(const u32*)&greater;
}

// The maximum over windows of SIDE x SIDE at step 2 (torch's ceil mode: the last window may stick out), for `n_rows` rows
// of OUT_W pixels of `y_stride` halves, 8 channels a thread. `s_x` begins at the first window's first row and has `in_rows` rows of IN_W pixels.
template <u32 SIDE, u32 IN_W, u32 OUT_W, u32 CHANNELS, u32 THREADS>
static __device__ __forceinline__ void max_pool(__half* y, u32 y_stride, const __half* s_x, u32 in_rows, u32 n_rows) {
    static_assert(CHANNELS % 8 == 0, "16 bytes at a time");
    constexpr u32 CHUNKS = CHANNELS / 8, ROW = row_of(CHANNELS);
    // Where a block walks over crops, a pool's addresses would be kept from one to the next through all that lies between.
    for (u32 i = computed_here(threadIdx.x); i < n_rows * OUT_W * CHUNKS; i += THREADS) {
        const u32 chunk = i % CHUNKS, to_x = i / CHUNKS % OUT_W, to_y = i / CHUNKS / OUT_W;
        uint4 best = *(const uint4*)(s_x + (2 * to_y * IN_W + 2 * to_x) * ROW + 8 * chunk);
#pragma unroll
        for (u32 tap = 1; tap < SIDE * SIDE; tap++) {
            // What sticks out is the last row or column once more, which changes no maximum.
            const u32 row = min(2 * to_y + tap / SIDE, in_rows - 1), column = min(2 * to_x + tap % SIDE, IN_W - 1);
            const uint4 other = *(const uint4*)(s_x + (row * IN_W + column) * ROW + 8 * chunk);
            best.x = greater_halves(best.x, other.x);
            best.y = greater_halves(best.y, other.y);
            best.z = greater_halves(best.z, other.z);
            best.w = greater_halves(best.w, other.w);
        }
        *(uint4*)(y + (to_y * OUT_W + to_x) * y_stride + 8 * chunk) = best;
    }
}
