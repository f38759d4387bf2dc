// Running a grid: threads of the system take clusters, within a cluster blocks take turns, and within a block fibers.
//
// The order of blocks and of threads follows from a seed; a kernel's result must not. What is ready waits in a queue, so that
// a switch costs the same with 32 threads as with 1,024.

#include "block.h"
#include "registry.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

namespace emulator {

thread_local Block* block = nullptr;

namespace {

// The seed's numbers: xorshift64* (Vigna, 2016).
struct Lots {
    uint64_t state;
    explicit Lots(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull) {}
    uint32_t below(uint32_t n) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (uint32_t)((state * 0x2545f4914f6cdd1dull >> 32) * n >> 32);
    }
    void shuffle(std::vector<uint32_t>& all) {
        for (uint32_t i = (uint32_t)all.size(); i > 1; i--) std::swap(all[i - 1], all[below(i)]);
    }
};

struct Runner : Block {
    const Kernel* kernel = nullptr;
    const void* params = nullptr;
    Lots lots{0};
    Fiber home;
    std::vector<Thread> threads;
    std::vector<uint32_t> order, queue;
    uint32_t head = 0, length = 0;
    std::string failure;

    void push(uint32_t thread) {
        queue[(head + length) % queue.size()] = thread;
        length++;
    }
    // Goes on with the next thread that is ready, or home if none is.
    void next(Fiber& from, bool from_ends) {
        if (length == 0) return switch_to(from, home, from_ends);
        self = &threads[queue[head]];
        head = (head + 1) % queue.size();
        length--;
        switch_to(from, self->fiber, from_ends);
    }
    void start(Index at);
    bool resume();
    void check_ended();
    ~Runner() {
        for (Thread& thread : threads) release(thread.fiber);
    }
};

thread_local Runner* runner = nullptr;

void thread_start() {
    Thread& self = *runner->self;
    arrived(self.fiber);
    runner->kernel->body(runner->params);
    self.ended = true;
    runner->n_ended++;
    Warp& warp = runner->warps[self.number / 32];
    const uint32_t lane = 1u << self.number % 32;
    warp.ended |= lane;
    if (warp.come != 0 && warp.mask & lane) runner->fail("ends while its warp waits for it");
    if (runner->at_barrier != 0) runner->fail("ends while its block waits at a barrier");
    runner->next(self.fiber, true);
    // Nobody switches back to a fiber that has ended.
    abort();
}

void Runner::start(Index at) {
    index = at;
    at_barrier = n_ended = 0;
    for (Part& part : parts) part = Part{};
    at_cluster.clear();
    warps.assign((n_threads + 31) / 32, Warp{});
    lots.shuffle(order);
    head = length = 0;
    for (Thread& thread : threads) {
        thread.ended = false;
        thread.group = thread.round = 0;
        thread.arrived = false;
        thread.copies.clear();
        prepare(thread.fiber, thread_start);
    }
    for (uint32_t thread : order) push(thread);
}

// Lets the block's threads run until none is ready; whether any was.
bool Runner::resume() {
    size_t kept = 0;
    for (const uint32_t thread : at_cluster) {
        if (threads[thread].round < cluster->round) push(thread);
        else at_cluster[kept++] = thread;
    }
    at_cluster.resize(kept);
    if (length == 0) return false;
    next(home, false);
    return true;
}

// Names a thread that waits for ever, now that nobody of the cluster is ready.
void Runner::check_ended() {
    if (!failure.empty() || n_ended == n_threads) return;
    for (Thread& thread : threads) {
        if (thread.ended) continue;
        const Warp& warp = warps[thread.number / 32];
        const char* where = "a barrier that not all threads reach";
        if (warp.come >> (thread.number % 32) & 1) where = "a warp's operation that not all named threads call";
        for (const uint32_t waiting : at_cluster) {
            if (waiting == thread.number) where = "its cluster's barrier, which not all threads reach";
        }
        // Written as `fail` would, but we are home already.
        char text[256];
        snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): waits for ever at %s", index.x, index.y,
                 index.z, thread.index.x, thread.index.y, thread.index.z, where);
        failure = text;
        return;
    }
}

}   // namespace

void Block::fail(const char* what) {
    char text[512];
    snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): %s", index.x, index.y, index.z, self->index.x,
             self->index.y, self->index.z, what);
    runner->failure = text;
    // For good: the block is not run again.
    switch_to(self->fiber, runner->home, true);
    abort();
}

void Block::wait() { runner->next(self->fiber, false); }

void Block::yield() {
    runner->push(self->number);
    runner->next(self->fiber, false);
}

void Block::barrier() {
    if (n_ended != 0) fail("waits at a barrier that a thread which has ended will not reach");
    at_barrier++;
    if (at_barrier < n_threads) return wait();
    at_barrier = 0;
    const uint32_t own = self->number, first = runner->lots.below(n_threads);
    for (uint32_t i = 0; i < n_threads; i++) {
        const uint32_t other = runner->order[(first + i) % n_threads];
        if (other != own) runner->push(other);
    }
    // Whoever came last does not go on first.
    yield();
}

void Block::part_barrier(uint32_t number, uint32_t wanted) {
    if (number == 0 || number > 15 || wanted == 0 || wanted % 32 != 0) fail("calls a part's barrier that there is not");
    Part& part = parts[number];
    if (part.waiting.empty()) part.wanted = wanted;
    if (part.wanted != wanted) fail("waits at a part's barrier for another number of threads than the others");
    part.waiting.push_back(self->number);
    if (part.waiting.size() < wanted) return wait();
    std::vector<uint32_t> all;
    all.swap(part.waiting);
    runner->lots.shuffle(all);
    for (const uint32_t other : all) {
        if (other != self->number) runner->push(other);
    }
    yield();
}

void Block::cluster_arrive() {
    if (self->arrived) fail("arrives at its cluster's barrier twice without waiting");
    self->arrived = true;
    self->round = cluster->round;
    if (++cluster->arrived < cluster->n_threads) return;
    cluster->arrived = 0;
    cluster->round++;
}

void Block::cluster_wait() {
    if (!self->arrived) fail("waits at its cluster's barrier without having arrived");
    if (self->round == cluster->round) {
        at_cluster.push_back(self->number);
        wait();
    }
    self->arrived = false;
}

void Block::ready_lanes(uint32_t lanes) {
    const uint32_t warp = self->number / 32 * 32, first = runner->lots.below(32);
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t lane = (first + i) % 32;
        if (lanes >> lane & 1) runner->push(warp + lane);
    }
}

void finish_copies(Thread& thread, uint32_t pending) {
    const uint32_t end = thread.group > pending ? thread.group - pending : 0;
    size_t kept = 0;
    for (const Copy& copy : thread.copies) {
        if (copy.group >= end) thread.copies[kept++] = copy;
        else if (copy.valid) memcpy(copy.to, copy.from, copy.bytes);
        else memset(copy.to, 0, copy.bytes);
    }
    thread.copies.resize(kept);
}

std::string run_grid(const Kernel& kernel, Index grid, Index dim, uint32_t cluster_blocks, uint32_t shared_bytes,
                     const void* params, uint64_t seed, uint32_t os_threads) {
    const uint32_t n_threads = dim.x * dim.y * dim.z;
    const uint64_t n_clusters = (uint64_t)grid.x * grid.y * grid.z / cluster_blocks;
    Lots lots(seed);
    std::vector<uint32_t> clusters(n_clusters);
    for (uint64_t i = 0; i < n_clusters; i++) clusters[i] = (uint32_t)i;
    lots.shuffle(clusters);
    std::atomic<uint64_t> taken{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::string failure;
    const auto work = [&] {
        Cluster cluster;
        cluster.n_blocks = cluster_blocks;
        cluster.n_threads = cluster_blocks * n_threads;
        std::vector<Runner> blocks(cluster_blocks);
        std::vector<uint32_t> turns(cluster_blocks);
        for (uint32_t rank = 0; rank < cluster_blocks; rank++) {
            Runner& own = blocks[rank];
            turns[rank] = own.rank = rank;
            own.kernel = &kernel;
            own.params = params;
            own.dim = dim;
            own.grid = grid;
            own.n_threads = n_threads;
            own.cluster = &cluster;
            own.threads.resize(n_threads);
            own.queue.resize(n_threads + 1);
            own.order.resize(n_threads);
            for (uint32_t i = 0; i < n_threads; i++) {
                own.order[i] = i;
                own.threads[i].number = i;
                own.threads[i].index = {i % dim.x, i / dim.x % dim.y, i / dim.x / dim.y};
            }
        }
        for (uint64_t i = taken++; i < n_clusters && !failed; i = taken++) {
            cluster.round = 1;
            cluster.arrived = 0;
            for (Runner& own : blocks) {
                // Clusters are of neighbours along x, as on a GPU.
                const uint32_t number = clusters[i] * cluster_blocks + own.rank;
                own.lots = Lots(seed ^ (uint64_t)number << 20);
                // Of its own and of this very length, so that a sanitizer sees who leaves it; no bit of it is a number.
                own.shared = (unsigned char*)aligned_alloc(16, (shared_bytes + 15) / 16 * 16 + 16);
                memset(own.shared, 0xff, (shared_bytes + 15) / 16 * 16 + 16);
                own.start({number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y});
            }
            Lots of_cluster(seed ^ (uint64_t)clusters[i] << 40);
            std::string found;
            for (bool any = true; any && found.empty();) {
                any = false;
                of_cluster.shuffle(turns);
                for (const uint32_t turn : turns) {
                    Runner& own = blocks[turn];
                    runner = &own;
                    block = &own;
                    any |= own.resume();
                    if (found.empty()) found = own.failure;
                }
            }
            for (Runner& own : blocks) {
                if (found.empty()) own.check_ended(), found = own.failure;
                free(own.shared);
            }
            if (!found.empty()) {
                std::lock_guard<std::mutex> lock(mutex);
                if (!failed.exchange(true)) failure = found;
            }
        }
        runner = nullptr;
        block = nullptr;
    };
    std::vector<std::thread> helpers;
    const uint64_t most = n_clusters < os_threads ? n_clusters : os_threads;
    for (uint64_t i = 1; i < most; i++) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    return failure;
}

}   // namespace emulator
