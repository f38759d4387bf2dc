// computes  a level of an embedder: up to four layers that read nothing of each other's
// shapes    as each layer's planes say; halves NHWC, a network's output f32
// params    LayersParams
// launch    grid: the sum of the layers' blocks, block 128, shared: the most that one of its convolutions takes
// work      a block: one tile of a convolution or one split of it, or 128 times 8 channels of another layer
// cost      a convolution reads each pixel's window once for each column of tiles (L2), its weights once for each row of tiles
// numerics  half in and out, f32 sums: 2 units in the last place from f64; splits are added in order
#include "pointwise.cuh"
#include "product.cuh"

constexpr u32 LEVEL_MOST = 4;

struct LayersParams {
    LayerStep steps[LEVEL_MOST];
    u32 n_steps;
    u32 n;   // items
};
static_assert(sizeof(LayersParams) == 808, "as launch::layers::Params");

typedef Product<128, 64, 2, 3> Product128x64;
typedef Product<64, 64, 2, 4> Product64x64;
typedef Product<64, 32, 2, 4> Product64x32;
typedef Product<32, 32, 2, 6> Product32x32;
typedef Product<16, 64, 1, 6> Product16x64;
static_assert(Product128x64::SHARED == 73728 && Product64x64::SHARED == 65536 && Product64x32::SHARED == 49152 &&
                  Product32x32::SHARED == 49152 && Product16x64::SHARED == 61440,
              "as launch::layers::TILES");

KERNEL_BY_FEW(layers, LayersParams, PRODUCT_THREADS, 2) {
    SHARED_BYTES(s_raw);
    u32 block = blockIdx.x, which = 0;
    while (which + 1 < p.n_steps && block >= p.steps[which].blocks) block -= p.steps[which++].blocks;
    const LayerStep& s = p.steps[which];
    if (s.kind == LAYER_UNIT) return unit(s, p.n, block);
    if (s.kind != LAYER_CONV) return pointwise(s, p.n, block);
    switch (s.tile) {
        case 0: return Product128x64(s, s_raw, p.n).run(block);
        case 1: return Product64x64(s, s_raw, p.n).run(block);
        case 2: return Product64x32(s, s_raw, p.n).run(block);
        case 3: return Product32x32(s, s_raw, p.n).run(block);
        default: return Product16x64(s, s_raw, p.n).run(block);
    }
}
