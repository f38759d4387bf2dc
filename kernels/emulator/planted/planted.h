// Kernels with one mistake each, beside the right version: `wrong` chooses. They are what the emulator is for: each mistake
// is one that a GPU may let pass for a long time. None of them is in the product's library.
#pragma once
#include "../../cuda/portable.h"

struct PlantedParams {
    const __half* a;
    float* out;
    u32 n;
    u32 wrong;
};
static_assert(sizeof(PlantedParams) == 24, "as tests/kernels/planted.rs");
