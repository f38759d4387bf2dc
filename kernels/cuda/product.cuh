// A convolution's tile as a matrix product: BM pixels x BN output channels, the sum over taps and input channels in steps of
// 64, which come to shared memory by asynchronous copies while earlier ones are multiplied.
//
// The pixels' rows of a step (64 halves, 8 chunks of 16 bytes, each of one tap) are gathered straight from the activation:
// the matrix of all windows never exists. Chunk c of row r lies at place c ^ (r % 8), so that the 8 rows that one ldmatrix
// reads lie in different banks. Weights are copied as they lie in device memory, in the order of `conv.cuh`'s fragments.
//
// A stage has WARPS_K steps, one for each of as many warps, whose sums are added in the order of the warps. With four, a small
// tile's sum of a thousand terms is under way at once and each warp multiplies a quarter of it: what takes long with few
// pixels is not the work but one thing after the other.
//
// What does not depend on an earlier launch comes before `wait_for_before`: the first stages' weights and the places of their
// pixels, bias and slope.
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

// m = q * d + r, for m below 2^21 (`launch::layers` asserts it), where the quotient in f32 is off by one at most.
struct Divided {
    u32 q, r;
};
struct Divisor {
    u32 d;
    float inverse;
    __device__ __forceinline__ explicit Divisor(u32 by) : d(by), inverse(1.0f / (float)by) {}
    __device__ __forceinline__ Divided of(u32 m) const {
        u32 q = (u32)((float)m * inverse);
        i32 r = (i32)(m - q * d);
        if (r < 0) q--, r += (i32)d;
        if (r >= (i32)d) q++, r -= (i32)d;
        return {q, (u32)r};
    }
};

template <u32 BM, u32 BN, u32 WARPS_M, u32 WARPS_K, u32 STAGES>
struct Product {
    static constexpr u32 WARPS_N = 4 / WARPS_M / WARPS_K, WM = BM / WARPS_M, WN = BN / WARPS_N, MT = WM / 16, NT = WN / 8;
    static constexpr u32 ROWS = BM / 16;                       // of a thread's copies, 16 apart
    static constexpr u32 A_BYTES = BM * PRODUCT_K * 2, B_BYTES = BN * PRODUCT_K * 2, STEP = A_BYTES + B_BYTES;
    static constexpr u32 STAGE = WARPS_K * STEP, SHARED = STAGES * STAGE;
    // A warp has 2 MT rows of pairs of neighbouring channels in each lane. Once the warps' sums are added, this part is its own.
    static constexpr u32 PAIRS = 2 * MT * NT, OWN = PAIRS / WARPS_K;
    static constexpr u32 OWN_ROWS = 2 * MT >= WARPS_K ? 2 * MT / WARPS_K : 1, OWN_COLUMNS = OWN / OWN_ROWS;
    static_assert(MT >= 1 && NT >= 1 && WARPS_M * WARPS_N * WARPS_K * 32 == PRODUCT_THREADS, "four warps share the tile");
    static_assert(OWN_ROWS * OWN_COLUMNS * WARPS_K == PAIRS && NT % OWN_COLUMNS == 0, "each warp has a part of its own");
    static_assert(WARPS_K == 1 || 4 * PAIRS * 32 * 8 <= STAGE, "the warps' sums lie where a stage was");

    const LayerStep& s;
    unsigned char* const s_raw;
    const u32 n, splits, lane, warp_k, warp_m, warp_n;
    u32 m_first, n_first, n_pixels, k_steps;
    // This thread's next copies of the activation: column of a step, tap and channel; and how far a step goes in each.
    u32 dy, dx, channel;
    u32 on_dy, on_dx, on_channel;
    // Of the input and the kernel, in registers: `s` lies where each use would have to be loaded.
    u32 in_h, in_w, in_c, in_stride, kernel_h, kernel_w;
    WindowRow rows[ROWS];
    // Of the results that are its own: where each row lies in the output (and in the second input), and each pair's bias,
    // slope and second input.
    u32 to[OWN_ROWS], second[OWN_ROWS];
    bool stored[OWN_ROWS];
    float2 bias[OWN_COLUMNS], slope[OWN_COLUMNS];
    u32 two[OWN_ROWS][OWN_COLUMNS];

    __device__ __forceinline__ Product(const LayerStep& step, unsigned char* s_memory, u32 n_items, u32 parts)
        : s(step), s_raw(s_memory), n(n_items), splits(parts), lane(threadIdx.x % 32), warp_k(threadIdx.x / 32 / (WARPS_M * WARPS_N)),
          warp_m(threadIdx.x / 32 % (WARPS_M * WARPS_N) % WARPS_M), warp_n(threadIdx.x / 32 % (WARPS_M * WARPS_N) / WARPS_M) {}

    __device__ __forceinline__ void begin(u32 m_tile, u32 n_tile, u32 k_first) {
        m_first = m_tile * BM, n_first = n_tile * BN;
        const Divisor in_item(s.y.h * s.y.w), width(s.y.w);
        n_pixels = n * in_item.d;
        k_steps = (s.kernel_h * s.kernel_w * s.x.c + 15) / 16;
        in_h = s.x.h, in_w = s.x.w, in_c = s.x.c, in_stride = s.x.stride, kernel_h = s.kernel_h, kernel_w = s.kernel_w;
        const u32 k = PRODUCT_K * WARPS_K * k_first + 8 * (threadIdx.x % 8), tap = k / in_c, on = PRODUCT_K / in_c;
        dy = tap / kernel_w, dx = tap % kernel_w, channel = k % in_c;
        on_dy = on / kernel_w, on_dx = on % kernel_w, on_channel = PRODUCT_K % in_c;
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            const u32 m = m_first + threadIdx.x / 8 + 16 * i;
            const Divided item = in_item.of(m), pixel = width.of(item.r);
            const i32 y = (i32)(pixel.q * s.stride) - (i32)s.pad_h, x = (i32)(pixel.r * s.stride) - (i32)s.pad_w;
            // A row beyond the last pixel lies above the input: all its values are zeros.
            rows[i] = {(i32)(item.q * s.x.item) + (y * (i32)s.x.w + x) * (i32)s.x.stride, m < n_pixels ? y : -0x10000, x};
        }
#pragma unroll
        for (u32 i = 0; i < OWN_ROWS; i++) {
            const u32 m = m_first + warp_m * WM + 8 * (own_row() + i) + lane / 4;
            const Divided item = in_item.of(m);
            stored[i] = m < n_pixels;
            to[i] = item.q * s.y.item + item.r * s.y.stride;
            second[i] = item.q * s.second.item + item.r * s.second.stride;
        }
#pragma unroll
        for (u32 j = 0; j < OWN_COLUMNS; j++) {
            // Both hold as many values as there are channels, in eights.
            const u32 c = column(j);
            bias[j] = c < s.y.c ? *(const float2*)(s.bias + c) : make_float2(0.0f, 0.0f);
            slope[j] = c < s.y.c ? *(const float2*)(s.slope + c) : make_float2(0.0f, 0.0f);
        }
    }

    // The first of the rows and columns of pairs that are its own, and a column's first channel.
    __device__ __forceinline__ u32 own_row() const { return WARPS_K == 1 ? 0 : warp_k * OWN / NT; }
    __device__ __forceinline__ u32 own_column() const { return WARPS_K == 1 ? 0 : warp_k * OWN % NT; }
    __device__ __forceinline__ u32 column(u32 j) const { return n_first + warp_n * WN + 8 * (own_column() + j) + 2 * (lane % 4); }

    // Where this thread's chunks of the next step lie, in halves from the activation's start; -1: zeros.
    __device__ __forceinline__ void find(i32 (&from)[ROWS]) {
        const i32 tap = (i32)((dy * in_w + dx) * in_stride + channel);
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) {
            // Weights beyond the last tap are zeros; zeros here keep what is no number out of the sum.
            const bool valid = dy < kernel_h && (u32)(rows[i].y + (i32)dy) < in_h && (u32)(rows[i].x + (i32)dx) < in_w;
            from[i] = valid ? rows[i].offset + tap : -1;
        }
        // Below zero is beyond all, so that the smaller is what has not been passed or what is left of it.
        channel += on_channel;
        dx += on_dx + (channel >= in_c ? 1 : 0);
        channel = min(channel, channel - in_c);
        dy += on_dy + (dx >= kernel_w ? 1 : 0);
        dx = min(dx, dx - kernel_w);
    }

    // Where the copy of a thread's chunk goes, in a step of a stage.
    __device__ __forceinline__ unsigned char* chunk_at(u32 stage, u32 j, u32 i) const {
        const u32 chunk = threadIdx.x % 8, r = threadIdx.x / 8 + 16 * i;
        return s_raw + stage * STAGE + j * STEP + r * 128 + ((chunk ^ (r % 8)) << 4);
    }

    // Starts the copies of the activation for a step.
    __device__ __forceinline__ void copy_pixels(u32 stage, u32 j, const i32 (&from)[ROWS]) const {
#pragma unroll
        for (u32 i = 0; i < ROWS; i++) cp_async_16(chunk_at(stage, j, i), s.x.start + max(from[i], 0), from[i] != -1);
    }

    // Starts the copies of stage `kt`'s weights.
    __device__ __forceinline__ void copy_weights(u32 stage, u32 kt) const {
        const u32 tiles = (s.y.c + 7) / 8;
#pragma unroll
        for (u32 j = 0; j < WARPS_K; j++) {
            unsigned char* s_b = s_raw + stage * STAGE + j * STEP + A_BYTES;
#pragma unroll
            for (u32 i = 0; i < BN * 8 / PRODUCT_THREADS; i++) {
                const u32 chunk = threadIdx.x + PRODUCT_THREADS * i, tile = n_first / 8 + chunk / 64;
                const u32 step = 4 * (WARPS_K * kt + j) + chunk % 64 / 16;
                const bool valid = tile < tiles && step < k_steps;
                const uint2* g_from = s.weights + (valid ? (tile * k_steps + step) * 32 + 2 * (chunk % 16) : 0);
                cp_async_16(s_b + 16 * chunk, g_from, valid);
            }
        }
    }

    __device__ __forceinline__ void multiply(float (&r_acc)[MT][NT][4], u32 stage) const {
        const unsigned char* s_a = s_raw + stage * STAGE + warp_k * STEP;
        const unsigned char* s_b = s_a + A_BYTES;
        const u32 m = warp_m * WM, tile = warp_n * NT;
#pragma unroll
        for (u32 step = 0; step < PRODUCT_K / 16; step++) {
            u32 r_a[MT][4];
#pragma unroll
            for (u32 i = 0; i < MT; i++) {
                const u32 r = m + 16 * i + lane % 16, chunk = 2 * step + lane / 16;
                ldmatrix_x4(r_a[i], s_a + r * 128 + ((chunk ^ (r % 8)) << 4));
            }
#pragma unroll
            for (u32 j = 0; j < NT; j++) {
                const uint2 both = ((const uint2*)s_b)[((tile + j) * 4 + step) * 32 + lane];
                const u32 r_b[2] = {both.x, both.y};
#pragma unroll
                for (u32 i = 0; i < MT; i++) mma_m16n8k16(r_acc[i][j], r_a[i], r_b);
            }
        }
    }

    // The sums of all warps that share the tile's steps, of what is this warp's own.
    __device__ __forceinline__ void own(float2 (&r_own)[OWN], const float (&r_acc)[MT][NT][4]) const {
        if (WARPS_K == 1) {
#pragma unroll
            for (u32 q = 0; q < OWN; q++) {
                const float(&four)[4] = r_acc[q / NT / 2][q % NT];
                r_own[q] = make_float2(four[2 * (q / NT % 2)], four[2 * (q / NT % 2) + 1]);
            }
            return;
        }
        // Where the stages were, once nobody reads them any more.
        float2* s_sums = (float2*)s_raw + (warp_n * WARPS_M + warp_m) * WARPS_K * PAIRS * 32 + lane;
        __syncthreads();
#pragma unroll
        for (u32 q = 0; q < PAIRS; q++) {
            const float(&four)[4] = r_acc[q / NT / 2][q % NT];
            s_sums[(warp_k * PAIRS + q) * 32] = make_float2(four[2 * (q / NT % 2)], four[2 * (q / NT % 2) + 1]);
        }
        __syncthreads();
#pragma unroll
        for (u32 q = 0; q < OWN; q++) {
            r_own[q] = s_sums[(warp_k * OWN + q) * 32];
#pragma unroll
            for (u32 other = 1; other < WARPS_K; other++) {
                const float2 more = s_sums[(other * PAIRS + warp_k * OWN + q) * 32];
                r_own[q].x += more.x, r_own[q].y += more.y;
            }
        }
    }

    // The sums of all splits of the tile, if this block is the last of them to come; false for the others.
    __device__ __forceinline__ bool joined(float2 (&r_own)[OWN], u32 tile, u32 split) {
        float2* g_mine = s.partial + (u64)(tile * splits) * (OWN * PRODUCT_THREADS) + threadIdx.x;
#pragma unroll
        for (u32 q = 0; q < OWN; q++) g_mine[(split * OWN + q) * PRODUCT_THREADS] = r_own[q];
        __threadfence();
        __syncthreads();
        // Where the stages were, of which nobody reads any more.
        u32* s_before = (u32*)s_raw;
        if (threadIdx.x == 0) *s_before = atomicAdd(s.arrived + tile, 1);
        __syncthreads();
        if (*s_before + 1 != splits) return false;
        __threadfence();
        // Eight loads and more are under way at once; zero plus the first is the first.
#pragma unroll
        for (u32 q = 0; q < OWN; q++) r_own[q] = make_float2(0.0f, 0.0f);
#pragma unroll(OWN < 8 ? 4 : 1)
        for (u32 other = 0; other < splits; other++) {
#pragma unroll
            for (u32 q = 0; q < OWN; q++) {
                const float2 more = load_shared_by_blocks(g_mine + (other * OWN + q) * PRODUCT_THREADS);
                r_own[q].x += more.x, r_own[q].y += more.y;
            }
        }
        if (threadIdx.x == 0) s.arrived[tile] = 0;
        return true;
    }

    // Starts to load the residual of what is its own.
    __device__ __forceinline__ void load_second() {
#pragma unroll
        for (u32 i = 0; i < OWN_ROWS; i++) {
#pragma unroll
            for (u32 j = 0; j < OWN_COLUMNS; j++) {
                const bool is_there = s.second.start != nullptr && stored[i] && column(j) < s.y.c;
                two[i][j] = is_there ? *(const u32*)(s.second.start + second[i] + column(j)) : 0;
            }
        }
    }

    // Bias, scale, residual and activation, and into the output.
    __device__ __forceinline__ void finish(const float2 (&r_own)[OWN]) const {
#pragma unroll
        for (u32 i = 0; i < OWN_ROWS; i++) {
            if (!stored[i]) continue;
#pragma unroll
            for (u32 j = 0; j < OWN_COLUMNS; j++) {
                const u32 c = column(j);
                if (c >= s.y.c) continue;
                const float2 sum = r_own[i * OWN_COLUMNS + j], residual = unpack_halves(two[i][j]);
                const float low = prelu(residual.x + s.scale * (sum.x + bias[j].x), slope[j].x);
                const float high = prelu(residual.y + s.scale * (sum.y + bias[j].y), slope[j].y);
                if (s.floats) *(float2*)((float*)s.y.start + to[i] + c) = make_float2(low, high);
                else *(u32*)(s.y.start + to[i] + c) = pack_halves(low, high);
            }
        }
    }

    __device__ __forceinline__ void run(u32 block) {
        constexpr u32 K = PRODUCT_K * WARPS_K;
        const u32 k_tiles = (s.kernel_h * s.kernel_w * s.x.c + K - 1) / K;
        const u32 n_tiles = (s.y.c + BN - 1) / BN;
        u32 split = 0, tile = block, k_first = 0, k_count = k_tiles;
        if (splits > 1) {
            split = block % splits, tile = block / splits;
            // None at all, where there are more splits than stages.
            k_first = split * k_tiles / splits, k_count = (split + 1) * k_tiles / splits - k_first;
        }
        // Of items that there are not; so are all its splits.
        if (tile / n_tiles * BM >= n * s.y.h * s.y.w) return wait_for_before();
        begin(tile / n_tiles, tile % n_tiles, k_first);
        // What is not in a hurry stands in the code once: code that is run once comes from memory.
        const u32 ahead = min(k_count, STAGES - 1);
#pragma unroll 1
        for (u32 i = 0; i < ahead; i++) copy_weights(i, k_first + i);
        // Each place is left where its chunk will go, and taken from there.
#pragma unroll 1
        for (u32 step = 0; step < WARPS_K * ahead; step++) {
            i32 from[ROWS];
            find(from);
#pragma unroll
            for (u32 i = 0; i < ROWS; i++) *(i32*)chunk_at(step / WARPS_K, step % WARPS_K, i) = from[i];
        }
        wait_for_before();
        // The weights are in the first group: they have been under way for long.
#pragma unroll 1
        for (u32 stage = 0; stage < STAGES - 1; stage++) {
            if (stage < ahead) {
                i32 from[WARPS_K][ROWS];
#pragma unroll
                for (u32 j = 0; j < WARPS_K; j++) {
#pragma unroll
                    for (u32 i = 0; i < ROWS; i++) from[j][i] = *(const i32*)chunk_at(stage, j, i);
                }
#pragma unroll
                for (u32 j = 0; j < WARPS_K; j++) copy_pixels(stage, j, from[j]);
            }
            cp_async_commit();
        }
        load_second();
        float r_acc[MT][NT][4] = {};
#pragma unroll 1
        for (u32 i = 0; i < k_count; i++) {
            cp_async_wait<STAGES - 2>();
            // Everybody's copies of this stage are there, and everybody is done with the stage that is filled next.
            __syncthreads();
            if (i + STAGES - 1 < k_count) {
#pragma unroll
                for (u32 j = 0; j < WARPS_K; j++) {
                    i32 from[ROWS];
                    find(from);
                    copy_pixels((i + STAGES - 1) % STAGES, j, from);
                }
                copy_weights((i + STAGES - 1) % STAGES, k_first + i + STAGES - 1);
            }
            cp_async_commit();
            multiply(r_acc, i % STAGES);
        }
        float2 r_own[OWN];
        own(r_own, r_acc);
        if (splits > 1 && !joined(r_own, tile, split)) return;
        finish(r_own);
    }
};
