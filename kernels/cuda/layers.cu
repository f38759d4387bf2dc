// computes  a level of an embedder: up to four layers that read nothing of each other's
// shapes    as each layer's planes say; halves NHWC, a network's output f32
// params    LayersParams
// launch    grid: the sum of the layers' blocks, block 128, shared: the most that one of its convolutions takes; overlaps
// work      a block: one tile of a convolution or one split of it, or 128 times 8 channels of another layer
// cost      a convolution reads each pixel's window once for each column of tiles (L2), its weights once for each row of tiles
// numerics  half in and out, f32 sums: 2 units in the last place from f64; splits are added in order
#include "direct.cuh"
#include "pointwise.cuh"
#include "product.cuh"

constexpr u32 LEVEL_MOST = 4;

struct LayersParams {
    const u32* count;          // of the items those that there are, or null: all. No launch that this one may overlap writes it
    u32 n_steps;
    u32 n;                     // items
    u32 few;                   // so many at most are few
    u32 unused;
    u32 ends[2][LEVEL_MOST];   // of each step's blocks, the first number that is not its own; for many items, and for few
    LayerStep steps[LEVEL_MOST];
};
static_assert(sizeof(LayersParams) == 920, "as launch::layers::Params");

typedef Product<128, 64, 2, 1, 3> Product128x64;
typedef Product<64, 64, 2, 1, 4> Product64x64;
typedef Product<64, 32, 2, 1, 4> Product64x32;
typedef Product<32, 32, 2, 1, 6> Product32x32;
typedef Product<16, 64, 1, 1, 6> Product16x64;
typedef Product<32, 32, 1, 4, 3> Product32x32Shared;
typedef Product<16, 32, 1, 4, 4> Product16x32Shared;
typedef Product<16, 16, 1, 4, 6> Product16x16Shared;
static_assert(Product128x64::STAGE == 24576 && Product64x64::STAGE == 16384 && Product64x32::STAGE == 12288 &&
                  Product32x32::STAGE == 8192 && Product16x64::STAGE == 10240 && Product32x32Shared::STAGE == 32768 &&
                  Product16x32Shared::STAGE == 24576 && Product16x16Shared::STAGE == 16384,
              "as launch::layers::TILES");

// LARGE: with the tiles whose sums take most registers.
template <bool LARGE>
static __device__ __forceinline__ void level(const LayersParams& p, unsigned char* s_raw) {
    // At once: the level that follows waits beside this one for its end, with its weights under way.
    let_next_begin();
    const u32 n = p.count != nullptr ? min(p.n, *p.count) : p.n, few = n <= p.few;
    u32 block = blockIdx.x, which = 0;
    while (which < p.n_steps && blockIdx.x >= p.ends[few][which]) block = blockIdx.x - p.ends[few][which++];
    // Of a grid that is made for more items.
    if (which == p.n_steps || n == 0) return wait_for_before();
    const LayerStep& s = p.steps[which];
    if (s.kind == LAYER_UNIT) return unit(s, n, block);
    if (s.kind != LAYER_CONV) return pointwise(s, n, block);
    const u32 tile = s.tile[few], splits = s.splits[few];
    if (LARGE && tile == 0) return Product128x64(s, s_raw, n, splits).run(block);
    if (LARGE && tile == 1) return Product64x64(s, s_raw, n, splits).run(block);
    if (LARGE && tile == 2) return Product32x32Shared(s, s_raw, n, splits).run(block);
    switch (tile) {
        case 3: return Product64x32(s, s_raw, n, splits).run(block);
        case 4: return Product32x32(s, s_raw, n, splits).run(block);
        case 5: return Product16x64(s, s_raw, n, splits).run(block);
        case 6: return Product16x32Shared(s, s_raw, n, splits).run(block);
        case 7: return Product16x16Shared(s, s_raw, n, splits).run(block);
        default: break;
    }
    // As `launch::layers::Tile::ahead`.
    const u32 terms = s.kernel_h * s.kernel_w * s.x.c;
    if (tile == 9) return Direct<32, 3>(s).run(s_raw, n, block);
    if (terms <= 384) return Direct<16, 3>(s).run(s_raw, n, block);
    if (terms <= 896) return Direct<16, 7>(s).run(s_raw, n, block);
    return Direct<16, 14>(s).run(s_raw, n, block);
}

KERNEL_BY_FEW(layers, LayersParams, PRODUCT_THREADS, 2) {
    SHARED_BYTES(s_raw);
    level<true>(p, s_raw);
}

// Twice as many blocks on a multiprocessor, so that the next level's find room beside this one's.
KERNEL_BY_FEW(layers_small, LayersParams, PRODUCT_THREADS, 4) {
    SHARED_BYTES(s_raw);
    level<false>(p, s_raw);
}
