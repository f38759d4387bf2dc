// The tensor core, lane-exact: the fragments of PTX ISA, "Matrix fragments for mma.m16n8k16", f32 sums in the order of k.
//
// A product of two halves is exact in f32, so that it matters not whether it is fused with its sum.

#include "emulator.h"

void emulated_mma(void** slots) {
    _Float16 a[16][16], b[16][8];
    float d[16][8], wide_a[16][16], wide_b[16][8];
    for (u32 lane = 0; lane < 32; lane++) {
        const Multiplied& one = *(Multiplied*)slots[lane];
        const u32 row = lane / 4, pair = 2 * (lane % 4);
        memcpy(&a[row][pair], &one.a[0], 4);
        memcpy(&a[row + 8][pair], &one.a[1], 4);
        memcpy(&a[row][pair + 8], &one.a[2], 4);
        memcpy(&a[row + 8][pair + 8], &one.a[3], 4);
        for (u32 word = 0; word < 2; word++) {
            _Float16 two[2];
            memcpy(two, &one.b[word], 4);
            b[pair + 8 * word][row] = two[0];
            b[pair + 8 * word + 1][row] = two[1];
        }
        memcpy(&d[row][pair], &one.d[0], 8);
        memcpy(&d[row + 8][pair], &one.d[2], 8);
    }
    for (u32 i = 0; i < 16; i++) {
        for (u32 k = 0; k < 16; k++) wide_a[i][k] = (float)a[i][k];
        for (u32 j = 0; j < 8; j++) wide_b[i][j] = (float)b[i][j];
    }
    for (u32 i = 0; i < 16; i++) {
        for (u32 k = 0; k < 16; k++) {
            for (u32 j = 0; j < 8; j++) d[i][j] += wide_a[i][k] * wide_b[k][j];
        }
    }
    for (u32 lane = 0; lane < 32; lane++) {
        const Multiplied& one = *(Multiplied*)slots[lane];
        const u32 row = lane / 4, pair = 2 * (lane % 4);
        memcpy(&one.d[0], &d[row][pair], 8);
        memcpy(&one.d[2], &d[row + 8][pair], 8);
    }
}
