// Enough of CUDA C++ to run a kernel on a CPU: thread blocks one after the other, their threads as real threads.
//
// Shared memory is NaN when a thread block begins, and what lies beyond its end must stay untouched.

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(threads)

struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct Index {
    int x;
};

thread_local Index threadIdx;
Index blockIdx, blockDim;
std::unique_ptr<std::barrier<>> barrier;
float4 shared[1 << 16];

using std::min;
inline void __syncthreads() { barrier->arrive_and_wait(); }

// Runs `kernel()` for every thread of every thread block; false when it wrote beyond its shared memory.
template <typename Kernel>
bool launch(int blocks, int threads, std::size_t shared_bytes, Kernel kernel) {
    const auto memory = reinterpret_cast<unsigned char*>(shared);
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        std::fill(memory, memory + sizeof(shared), 0xFF);  // as float a NaN
        barrier = std::make_unique<std::barrier<>>(threads);
        const auto run = [&](int number) {
            threadIdx.x = number;
            kernel();
        };
        std::vector<std::thread> others;
        for (int number = 1; number < threads; ++number) others.emplace_back(run, number);
        run(0);
        for (std::thread& other : others) other.join();
        if (std::any_of(memory + shared_bytes, memory + sizeof(shared), [](auto byte) { return byte != 0xFF; }))
            return false;
    }
    return true;
}
