// The kernels of this library, by name.
#pragma once
#include "block.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

struct Kernel {
    const char* name;
    void (*body)(const void* params);
    size_t params_bytes;
    uint32_t most_threads;
};

// Made once for each kernel by the macro KERNEL, before the library's first call.
struct Registration {
    Registration(const char* name, void (*body)(const void*), size_t params_bytes, uint32_t most_threads);
};

const Kernel* find(const char* name);

// Runs every block; a failure's sentence, or nothing.
std::string run_grid(const Kernel& kernel, Index grid, Index dim, uint32_t shared_bytes, const void* params, uint64_t seed,
                     uint32_t os_threads);

}   // namespace emulator
