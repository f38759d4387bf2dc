// computes  for each probe the best template and the best of another person, of those that a block scans and whose keys lie
//           below the probe's ceiling
// shapes    vectors [tiles][chunks][32] of 16 bytes, 16 i8 or 8 halves: chunk by chunk of 32 templates; zeros behind the last
//           component, to a multiple of CHUNKS, and behind the last template. sides Side [n], persons u32 [n]; probes and
//           probe_sides as `quantise` writes them; ceilings u64 [PROBES], of which 0 is none; pairs Pair [blocks][PROBES]
// params    ScanParams
// launch    grid any, block SEARCH_BLOCK, shared shared_of(); a kernel for each element and number of probes; overlaps
// work      a warp: a tile of 32 templates after the other. First each lane multiplies its own template by all probes, whose
//           chunks all lanes read at once from shared memory; then a lane ranks for one probe every (32 / PROBES)th template
// cost      n (len + 12) bytes read for int8 (52 MB for 100,000 of 512), n (2 len + 12) for half; n len PROBES multiply-adds,
//           four an instruction for int8; a score costs some 60 operations of f64, and few templates are scored
// numerics  int8: exact sums, the bits of threshold_models::search::Index::search. Halves: products, which f32 holds, are
//           summed in f32 one component after the other, whatever the grid; scores of the sums as for int8
#include "search.cuh"

struct ScanParams {
    const uint4* vectors;
    const Side* sides;
    const u32* persons;
    const uint4* probes;
    const Side* probe_sides;
    const u64* ceilings;
    Pair* pairs;
    u32 n;
    u32 chunks;
    u32 metric;
    u32 unused;
};
static_assert(sizeof(ScanParams) == 72, "as launch::scan::Params");

// 16 bytes of a template, and how they are added to a sum.
struct Int8 {
    typedef i32 Sum;
    // Words of 16 bytes of a probe's chunk in shared memory.
    static constexpr u32 WORDS = 1;
    uint4 r;

    __device__ __forceinline__ explicit Int8(uint4 word) : r(word) {}
    __device__ __forceinline__ i32 add(i32 sum, const uint4* s_chunk) const {
        const uint4 other = *s_chunk;
        sum = __dp4a((int)r.x, (int)other.x, sum);
        sum = __dp4a((int)r.y, (int)other.y, sum);
        sum = __dp4a((int)r.z, (int)other.z, sum);
        return __dp4a((int)r.w, (int)other.w, sum);
    }
};

struct Half {
    typedef float Sum;
    static constexpr u32 WORDS = 2;
    float r[8];

    __device__ __forceinline__ explicit Half(uint4 word) {
        const u32 words[4] = {word.x, word.y, word.z, word.w};
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const float2 two = unpack_halves(words[i]);
            r[2 * i] = two.x, r[2 * i + 1] = two.y;
        }
    }
    __device__ __forceinline__ float add(float sum, const uint4* s_chunk) const {
        const float4 first = ((const float4*)s_chunk)[0], second = ((const float4*)s_chunk)[1];
        const float other[8] = {first.x, first.y, first.z, first.w, second.x, second.y, second.z, second.w};
#pragma unroll
        for (u32 i = 0; i < 8; i++) sum = add_exact_product(sum, r[i], other[i]);
        return sum;
    }
};

// Lanes that rank for one probe, and values from one probe's sums in shared memory to the next's: no two lanes meet in a bank.
static __host__ __device__ constexpr u32 slices_of(u32 probes) { return 32 / probes; }
static __host__ __device__ constexpr u32 pitch_of(u32 probes) { return 32 + slices_of(probes); }

// Chunks that are loaded before the first is used: the fewer probes, the more must be under way. A residue would be a branch
// between loads, which then wait for each other; so there is none.
constexpr u32 CHUNKS = 8;
static __host__ __device__ constexpr u32 ahead_of(u32 probes) { return probes == 1 ? 8 : probes <= 8 ? 4 : 2; }

// Probes; for each warp sums and sides; pairs; floors.
static __host__ __device__ constexpr u32 shared_of(u32 words, u32 probes, u32 chunks) {
    return chunks * probes * words * 16 + SEARCH_WARPS * (probes * pitch_of(probes) * 4 + 32 * 8 + probes * 24) + probes * 4;
}
static_assert(shared_of(1, 32, 32) == 58496 && shared_of(2, 16, 64) == 55360, "as launch::scan::shared_bytes");

template <typename Element, u32 PROBES>
static __device__ __forceinline__ void scan(unsigned char* s_raw, const ScanParams& p) {
    constexpr u32 SLICES = slices_of(PROBES), PITCH = pitch_of(PROBES);
    constexpr u32 AHEAD = ahead_of(PROBES);
    static_assert(PROBES * SLICES == 32 && CHUNKS % AHEAD == 0, "a lane for each, no residue");
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, probe = lane % PROBES, slice = lane / PROBES;
    const u32 probe_words = p.chunks * PROBES * Element::WORDS;
    uint4* s_probes = (uint4*)s_raw;
    float* s_all_sums = (float*)(s_probes + probe_words);
    Side* s_all_sides = (Side*)(s_all_sums + SEARCH_WARPS * PROBES * PITCH);
    Pair* s_pairs = (Pair*)(s_all_sides + SEARCH_WARPS * 32);
    // The best score that some thread of the block knows a runner-up of, for each probe; as `ascending` gives it.
    volatile u32* s_floors = (u32*)(s_pairs + SEARCH_WARPS * PROBES);
    float* s_sums = s_all_sums + warp * PROBES * PITCH;
    Side* s_sides = s_all_sides + 32 * warp;

    let_next_begin();
    wait_for_before();
    for (u32 i = threadIdx.x; i < probe_words; i += SEARCH_BLOCK) s_probes[i] = p.probes[i];
    if (threadIdx.x < PROBES) s_floors[threadIdx.x] = ascending(-__uint_as_float(0x7f800000u));
    const Side own = p.probe_sides[probe];
    // All ones where there is no ceiling.
    const u64 greatest = p.ceilings[probe] - 1;
    __syncthreads();

    Pair r_pair = {};
    const u32 tiles = (p.n + 31) / 32;
    for (u32 tile = blockIdx.x * SEARCH_WARPS + warp; tile < tiles; tile += gridDim.x * SEARCH_WARPS) {
        const Side side = 32 * tile + lane < p.n ? p.sides[32 * tile + lane] : Side{};
        const uint4* g_tile = p.vectors + (u64)tile * p.chunks * 32 + lane;
        typename Element::Sum r_sums[PROBES] = {};
        for (u32 first = 0; first < p.chunks; first += AHEAD) {
            uint4 r_words[AHEAD];
#pragma unroll
            for (u32 j = 0; j < AHEAD; j++) r_words[j] = g_tile[32 * (first + j)];
#pragma unroll
            for (u32 j = 0; j < AHEAD; j++) {
                const Element values(r_words[j]);
                const uint4* s_chunk = s_probes + (first + j) * PROBES * Element::WORDS;
#pragma unroll
                for (u32 i = 0; i < PROBES; i++) r_sums[i] = values.add(r_sums[i], s_chunk + i * Element::WORDS);
            }
        }
#pragma unroll
        for (u32 i = 0; i < PROBES; i++) s_sums[i * PITCH + lane] = (float)r_sums[i];
        s_sides[lane] = side;
        __syncwarp();

        float floor = from_ascending(s_floors[probe]);
#pragma unroll 1
        for (u32 k = 0; k < PROBES; k++) {
            const u32 at = k * SLICES + slice, i = 32 * tile + at;
            if (i >= p.n) break;
            const float product = s_sums[probe * PITCH + at];
            const Side other = s_sides[at];
            if (is_below(floor, p.metric, product, own, other)) continue;
            const u64 key = (u64)ascending(score_of(p.metric, product, own, other)) << 32 | (u32)~i;
            if (key > greatest) continue;
            const u32 before = (u32)(r_pair.runner_up >> 32);
            offer(r_pair, key, p.persons[i]);
            const u32 after = (u32)(r_pair.runner_up >> 32);
            // Scores of LOWEST are of vectors that cannot be compared, of which the bound knows nothing.
            if (after != before && after > ascending(LOWEST)) {
                floor = fmaxf(floor, from_ascending(after));
                atomicMax((u32*)&s_floors[probe], after);
            }
        }
        __syncwarp();
    }

    merge_lanes<PROBES>(r_pair);
    if (lane < PROBES) s_pairs[warp * PROBES + lane] = r_pair;
    __syncthreads();
    if (threadIdx.x >= PROBES) return;
    for (u32 i = 1; i < SEARCH_WARPS; i++) merge(r_pair, s_pairs[i * PROBES + threadIdx.x]);
    p.pairs[blockIdx.x * PROBES + threadIdx.x] = r_pair;
}

// Two blocks on a multiprocessor are enough, so that up to 128 registers may hold sums. For one probe, where loads are all
// there is to do, three: the 391 blocks of 100,000 templates then run at once on 132 multiprocessors.
#define SCAN(name, Element, PROBES)                                       \
    KERNEL_BY_FEW(name, ScanParams, SEARCH_BLOCK, PROBES == 1 ? 3 : 2) {  \
        SHARED_BYTES(s_raw);                                              \
        scan<Element, PROBES>(s_raw, p);                                  \
    }

SCAN(scan_int8_1, Int8, 1)
SCAN(scan_int8_4, Int8, 4)
SCAN(scan_int8_8, Int8, 8)
SCAN(scan_int8_16, Int8, 16)
SCAN(scan_int8_32, Int8, 32)
SCAN(scan_half_1, Half, 1)
SCAN(scan_half_4, Half, 4)
SCAN(scan_half_8, Half, 8)
SCAN(scan_half_16, Half, 16)
