// computes  probes as templates are stored: int8 with scale = max |v| / 127, or half; and each one's side
// shapes    embeddings float [PROBES][len]; probes, as `scan` takes them, [chunks][PROBES] of 16 bytes of i8, or of 8 halves
//           widened to float; behind the last component zeros; sides Side [PROBES]
// params    QuantiseParams
// launch    grid PROBES, block QUANTISE_BLOCK, shared QUANTISE_SHARED or, for halves, 4 bytes a component more; overlaps
// work      a block: one probe
// cost      4 bytes read and 1 (4) written a component; latency-bound
// numerics  int8: the bits of threshold_models::search::quantise. Halves: rounded to nearest even; the sum of squares in f32,
//           one component after the other. A probe that cannot be compared has scale 0
#include "search.cuh"

struct QuantiseParams {
    const float* embeddings;
    void* probes;
    Side* sides;
    u32 len;
    u32 chunks;
};
static_assert(sizeof(QuantiseParams) == 32, "as launch::quantise::Params");

constexpr u32 QUANTISE_BLOCK = 128;
// The greatest size's bits, and the sum of squares.
constexpr u32 QUANTISE_SHARED = 16;

constexpr u32 INFINITE = 0x7f800000u, LEAST_NORMAL = 0x00800000u;

KERNEL(quantise_int8, QuantiseParams, QUANTISE_BLOCK) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    u32* s_largest = (u32*)s_raw;
    u32* s_norm = s_largest + 1;
    const u32 probe = blockIdx.x, n_probes = gridDim.x;
    const float* g_embedding = p.embeddings + probe * p.len;
    if (threadIdx.x == 0) *s_largest = *s_norm = 0;
    __syncthreads();
    // Sizes sort as their bits do, and what is no number comes last.
    u32 r_largest = 0;
    for (u32 i = threadIdx.x; i < p.len; i += QUANTISE_BLOCK) {
        r_largest = max(r_largest, __float_as_uint(g_embedding[i]) & 0x7fffffffu);
    }
    atomicMax(s_largest, r_largest);
    __syncthreads();
    const float scale = __uint_as_float(*s_largest) / 127.0f;
    const bool usable = *s_largest < INFINITE && __float_as_uint(scale) >= LEAST_NORMAL;
    u32 r_norm = 0;
    for (u32 i = threadIdx.x; i < 16 * p.chunks; i += QUANTISE_BLOCK) {
        int component = 0;
        // roundf takes halves away from zero, as Rust's round does.
        if (usable && i < p.len) component = (int)min(max(roundf(g_embedding[i] / scale), -127.0f), 127.0f);
        ((signed char*)p.probes)[(i / 16 * n_probes + probe) * 16 + i % 16] = (signed char)component;
        r_norm += (u32)(component * component);
    }
    atomicAdd(s_norm, r_norm);
    __syncthreads();
    if (threadIdx.x == 0) p.sides[probe] = {usable ? scale : 0.0f, (float)*s_norm};
}

KERNEL(quantise_half, QuantiseParams, QUANTISE_BLOCK) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    float* s_values = (float*)(s_raw + QUANTISE_SHARED);
    const u32 probe = blockIdx.x, n_probes = gridDim.x;
    const float* g_embedding = p.embeddings + probe * p.len;
    for (u32 i = threadIdx.x; i < 8 * p.chunks; i += QUANTISE_BLOCK) {
        const float value = i < p.len ? __half2float(__float2half_rn(g_embedding[i])) : 0.0f;
        s_values[i] = value;
        ((float*)p.probes)[(i / 8 * n_probes + probe) * 8 + i % 8] = value;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    float norm = 0.0f;
    for (u32 i = 0; i < p.len; i++) norm = norm + s_values[i] * s_values[i];
    // Of a value that half does not hold, or that is no number, the sum is none either.
    p.sides[probe] = {norm <= 3.402823466e38f ? 1.0f : 0.0f, norm};
}
