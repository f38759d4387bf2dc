// The library's C interface: launch by name, and memory that a sanitizer guards at both ends.

#include "registry.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace emulator {

namespace {

// The least that our targets lend a block (sm_86, CUDA C Programming Guide, table "Technical Specifications per Compute
// Capability").
constexpr uint32_t SHARED_MOST = 99 << 10;

std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

}   // namespace

Registration::Registration(const char* name, void (*body)(const void*), size_t params_bytes, uint32_t most_threads) {
    kernels().push_back({name, body, params_bytes, most_threads});
}

const Kernel* find(const char* name) {
    for (const Kernel& kernel : kernels()) {
        if (strcmp(kernel.name, name) == 0) return &kernel;
    }
    return nullptr;
}

}   // namespace emulator

enum Code { DONE = 0, UNKNOWN_KERNEL = 1, REFUSED = 2, FAILED = 3 };

extern "C" int emulator_launch(const char* name, const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes,
                               const void* params, uint64_t params_len, uint64_t seed, uint32_t os_threads, char* message,
                               uint64_t message_len) {
    const emulator::Kernel* kernel = emulator::find(name);
    if (kernel == nullptr) {
        snprintf(message, message_len, "unknown");
        return UNKNOWN_KERNEL;
    }
    const uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    if (params_len != kernel->params_bytes) {
        snprintf(message, message_len, "%llu bytes of parameters, the kernel has %zu", (unsigned long long)params_len,
                 kernel->params_bytes);
        return REFUSED;
    }
    if (threads == 0 || threads > kernel->most_threads) {
        snprintf(message, message_len, "%llu threads in a block, the kernel takes 1 to %u", (unsigned long long)threads,
                 kernel->most_threads);
        return REFUSED;
    }
    if (shared_bytes > emulator::SHARED_MOST) {
        snprintf(message, message_len, "%u bytes of shared memory, a block has %u", shared_bytes, emulator::SHARED_MOST);
        return REFUSED;
    }
    // On a boundary, as the device has it, and of its own, so that a sanitizer sees who leaves it.
    void* own = aligned_alloc(16, (params_len + 15) / 16 * 16);
    memcpy(own, params, params_len);
    const std::string failure =
        emulator::run_grid(*kernel, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes, own, seed,
                           os_threads);
    free(own);
    if (failure.empty()) return DONE;
    snprintf(message, message_len, "%s", failure.c_str());
    return FAILED;
}

extern "C" void* emulator_alloc(uint64_t bytes) {
    void* at = malloc(bytes);
    if (at != nullptr) memset(at, 0, bytes);
    return at;
}

extern "C" void emulator_free(void* at) { free(at); }
