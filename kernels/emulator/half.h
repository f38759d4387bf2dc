// Half-precision numbers by the compiler's own type, which rounds to nearest even as the GPU's `_rn` conversions do.
#pragma once
#include <cstdint>
#include <cstring>

struct __half {
    _Float16 value;
};
struct alignas(4) __half2 {
    __half x, y;
};
struct float2 {
    float x, y;
};

static inline __half __float2half_rn(float value) { return {(_Float16)value}; }
static inline float __half2float(__half value) { return (float)value.value; }
static inline float2 __half22float2(__half2 two) { return {(float)two.x.value, (float)two.y.value}; }
// What is no number stays.
static inline __half emulated_greater(__half a, __half b) { return a.value != a.value || a.value > b.value ? a : b; }
static inline __half2 __hmax2_nan(__half2 a, __half2 b) { return {emulated_greater(a.x, b.x), emulated_greater(a.y, b.y)}; }
static inline uint16_t __half_as_ushort(__half value) {
    uint16_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline __half __ushort_as_half(uint16_t bits) {
    __half value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
