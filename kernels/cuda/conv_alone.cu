// computes  one convolution of the cascade alone, as its network calls it: for tests, which compare it with f64
// shapes    x half NHWC dense [rows][columns][channels] (first layers: pixels of 4 values), y half [rows][columns][outputs]
// params    ConvAloneParams; `which` counts the layers in the order of the switch below
// launch    grid 1, block 256, shared CONV_ALONE_SHARED
// work      a block: the input into shared memory, the layer, the output as it is
// cost      of no matter
// numerics  half in and out, f32 sums: 2 units in the last place from f64
#include "conv.cuh"

struct ConvAloneParams {
    const __half* x;
    __half* y;
    Layer layer;
    u32 which;
    u32 unused;
};
static_assert(sizeof(ConvAloneParams) == 48, "as launch::conv_alone::Params");

constexpr u32 CONV_ALONE_SHARED = 65536;

template <u32 K, u32 IN_W, u32 IN_C, u32 N_TILES, u32 GROUP, u32 ROWS>
static __device__ __forceinline__ void rows_alone(__half* s_x, const ConvAloneParams& p) {
    constexpr u32 PIXELS = (ROWS + K - 1) * IN_W;
    static_assert(PIXELS * row_of(IN_C) * 2 <= CONV_ALONE_SHARED, "fits");
    for (u32 i = threadIdx.x; i < PIXELS * IN_C; i += 256) s_x[i / IN_C * row_of(IN_C) + i % IN_C] = p.x[i];
    __syncthreads();
    conv_rows<K, IN_W, IN_C, N_TILES, GROUP, 8>(p.y, 8 * N_TILES, s_x, p.layer, ROWS);
}

// `s_y` lies behind the input: conv_first stores in rows for the next layer.
template <u32 SIDE, u32 ROWS>
static __device__ __forceinline__ void first_alone(uint2* s_x, const ConvAloneParams& p) {
    constexpr u32 IN = (ROWS + 2) * SIDE, OUT = SIDE - 2;
    static_assert(IN * 8 + ROWS * OUT * row_of(32) * 2 <= CONV_ALONE_SHARED && IN % 2 == 0, "fits, and is aligned");
    for (u32 i = threadIdx.x; i < IN; i += 256) s_x[i] = ((const uint2*)p.x)[i];
    __syncthreads();
    __half* s_y = (__half*)(s_x + IN);
    conv_first<OUT, 4, 8>(s_y, s_x, SIDE, First<4>(p.layer, threadIdx.x % 32), 0, ROWS);
    __syncthreads();
    for (u32 i = threadIdx.x; i < ROWS * OUT * 32; i += 256) p.y[i] = s_y[i / 32 * row_of(32) + i % 32];
}

KERNEL(conv_alone, ConvAloneParams, 256) {
    SHARED_BYTES(s_raw);
    __half* s_x = (__half*)s_raw;
    switch (p.which) {
        case 0: return rows_alone<3, 20, 16, 2, 2, 18>(s_x, p);   // pnet.conv2
        case 1: return first_alone<24, 22>((uint2*)s_raw, p);     // rnet.conv1
        case 2: return rows_alone<3, 11, 32, 6, 3, 9>(s_x, p);    // rnet.conv2
        case 3: return rows_alone<2, 4, 48, 8, 1, 3>(s_x, p);     // rnet.conv3
        case 4: return first_alone<48, 7>((uint2*)s_raw, p);      // onet.conv1, a strip
        case 5: return rows_alone<3, 23, 32, 8, 4, 5>(s_x, p);    // onet.conv2, a strip
        case 6: return rows_alone<3, 10, 64, 8, 2, 8>(s_x, p);    // onet.conv3
        default: return rows_alone<2, 4, 64, 16, 1, 3>(s_x, p);   // onet.conv4
    }
}
