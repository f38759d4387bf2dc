// Planted: 1024 threads leave 64 registers each, and 96 values are alive across the barrier.
extern "C" __global__ __launch_bounds__(1024) void planted(float* y, const float* x) {
    float r_x[96];
#pragma unroll
    for (int i = 0; i < 96; i++) r_x[i] = x[threadIdx.x + i * 1024];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 96; i++) y[threadIdx.x + i * 1024] = r_x[95 - i];
}
