// computes  R-Net's convolutions over each proposal's crop: the 576 values that its dense layers take
// shapes    picture (`picture.cuh`); boxes float4 [rnet_kept]; features half [RNET_MAX][3][3][64]
// params    RNetParams
// launch    grid: a few blocks for each multiprocessor, block CROP_BLOCK, shared RNET_SHARED
// work      a block: one proposal at a time, crop and resize to 24 x 24 included
// cost      1.53 MMAC and 1.2 KB written a proposal; weights (0.1 MB) come from L2, a few steps ahead
// numerics  half activations, f32 sums; models::net::rnet
#include "boxes.cuh"
#include "conv.cuh"
#include "crops.cuh"
#include "status.cuh"

// Mirrors `launch::crops::RNetParams`.
struct RNetParams {
    PictureView picture;
    const Box* boxes;
    __half* features;
    const Status* status;
    Layer convs[3];
};
static_assert(sizeof(RNetParams) == 120, "as launch::crops::RNetParams");

// Twelve warps: conv2 has as many items.
constexpr u32 CROP_BLOCK = 384, CROP_WARPS = CROP_BLOCK / 32;
constexpr u32 RNET_SIDE = 24;
constexpr u32 RNET_X_BYTES = (RNET_SIDE * RNET_SIDE + 2) * 8, RNET_CONV1_BYTES = 22 * 22 * row_of(32) * 2;
constexpr u32 RNET_POOL1_BYTES = 11 * 11 * row_of(32) * 2, RNET_POOL2_BYTES = 4 * 4 * row_of(48) * 2;
constexpr u32 RNET_SHARED = RNET_X_BYTES + RNET_CONV1_BYTES + RNET_POOL1_BYTES + RNET_POOL2_BYTES;
static_assert(RNET_X_BYTES % 16 == 0 && RNET_CONV1_BYTES % 16 == 0 && RNET_POOL1_BYTES % 16 == 0, "aligned for ldmatrix");
static_assert(9 * 9 * row_of(48) * 2 <= RNET_CONV1_BYTES, "conv2 takes conv1's place");
static_assert(RNET_SHARED == 54816, "as launch::rnet::SHARED_BYTES");

KERNEL_BY_FEW(rnet, RNetParams, CROP_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_x = (uint2*)s_raw;
    __half* s_conv = (__half*)(s_raw + RNET_X_BYTES);
    __half* s_pool1 = (__half*)(s_raw + RNET_X_BYTES + RNET_CONV1_BYTES);
    __half* s_pool2 = (__half*)(s_raw + RNET_X_BYTES + RNET_CONV1_BYTES + RNET_POOL1_BYTES);
    wait_for_before();
    for (u32 i = blockIdx.x; i < p.status->rnet_kept; i += gridDim.x) {
        crop_resized<RNET_SIDE, RNET_SIDE, CROP_BLOCK>(s_x, p.picture, p.boxes[i], 0, RNET_SIDE);
        __syncthreads();
        conv_first<22, 4, CROP_WARPS>(s_conv, s_x, RNET_SIDE, First<4>(p.convs[0], threadIdx.x % 32), 0, 22);
        __syncthreads();
        max_pool<3, 22, 11, 32, CROP_BLOCK>(s_pool1, row_of(32), s_conv, 22, 11);
        __syncthreads();
        conv_rows<3, 11, 32, 6, 3, CROP_WARPS>(s_conv, row_of(48), s_pool1, p.convs[1], 9);
        __syncthreads();
        max_pool<3, 9, 4, 48, CROP_BLOCK>(s_pool2, row_of(48), s_conv, 9, 4);
        __syncthreads();
        conv_rows<2, 4, 48, 8, 1, CROP_WARPS>(p.features + (u64)i * 576, 64, s_pool2, p.convs[2], 3);
        // The next crop takes the place of what conv3 may still read only two barriers on.
    }
}
