// NVIDIA's driver on a CPU, as libcuda.so.1: the calls that evaluators/reconstruction/gpu_driver.py makes, and no others.
//
// Device memory is host memory, and kernels are those of kernel.cu, which takes its arguments by the types that
// it declares. It is strict: what a real driver refuses is refused with the same code, and what might go well on a real
// device goes wrong here. Memory is NaN when handed out; copies to it and kernels wait until somebody waits for them,
// and kernels come first where no order is promised; and a kernel that was given freed memory, or wrote beyond the end
// of any, breaks the context for good.
//
// DRIVER_MEMORY in the environment is the size of the device's memory, in bytes. DRIVER_FAILS is a call and the error
// code that it gives instead of doing anything, as in cuLaunchKernel=701; "kernel" is a kernel that fails as it runs.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_on_cpu.h"
#include "kernel.cu"

namespace {

const int SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101;
const int INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700;

const std::map<int, int> attributes = {
    {1, 64},          // MAX_THREADS_PER_BLOCK: few, as they are real threads
    {16, 2},          // MULTIPROCESSOR_COUNT
    {75, 9},          // COMPUTE_CAPABILITY_MAJOR
    {76, 0},          // COMPUTE_CAPABILITY_MINOR
    {81, 100 << 10},  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    {97, 64 << 10},   // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
};
const int MAX_DYNAMIC_SHARED_SIZE_BYTES = 8, PREFERRED_SHARED_MEMORY_CARVEOUT = 9;  // attributes of a kernel
const int NON_BLOCKING = 1, PER_THREAD_DEFAULT_STREAM = 2;

using Address = unsigned long long;  // CUdeviceptr

struct Kernel {
    std::string name;
    decltype(&train_shared) function;
    int shared = 48 << 10;  // at most, until a kernel was allowed more
};

struct Work {  // a copy or a kernel that nobody has waited for yet
    std::function<int()> run;
    bool ordered;  // in the order of the legacy default stream, as copies are
};

const std::size_t GUARD = 4096;  // bytes behind every piece of memory, which nobody may change
int primary, module_loaded;      // their addresses are handles
#define NAMED(name) {#name, name}
Kernel kernels[] = {NAMED(train_shared), NAMED(train_shared_values), NAMED(train_global)};

std::mutex turn;
thread_local bool current = false;  // whether the context is, in this thread
bool initialised = false;
int broken = SUCCESS;  // what a kernel did to the context: later calls say it again
std::map<Address, std::size_t> memory;
std::map<void*, unsigned> streams;  // and their flags
std::vector<Work> queue;
std::size_t launches = 0;
bool stream_per_thread = false;  // copies are made in a stream of the calling thread, with no order among others

int injected(const std::string& call) {
    char name[64];
    int code;
    const char* const asked = std::getenv("DRIVER_FAILS");
    return asked && std::sscanf(asked, "%63[^=]=%d", name, &code) == 2 && call == name ? code : SUCCESS;
}

enum Needs { NOTHING, DRIVER, CONTEXT, SOUND_CONTEXT };

int refusal(const std::string& call, Needs needs) {
    if (const int code = injected(call)) return code;
    if (needs >= DRIVER && !initialised) return NOT_INITIALIZED;
    if (needs >= CONTEXT && !current) return INVALID_CONTEXT;
    return needs >= SOUND_CONTEXT ? broken : SUCCESS;
}

#define ENTER(needs)                              \
    const std::lock_guard<std::mutex> lock(turn); \
    if (const int code = refusal(__func__, needs)) return code

std::size_t size_of_device() {
    const char* const asked = std::getenv("DRIVER_MEMORY");
    return asked ? std::strtoull(asked, nullptr, 10) : 64 << 20;
}

std::size_t used() {
    std::size_t sum = 0;
    for (const auto& [start, size] : memory) sum += size;
    return sum;
}

bool inside(Address place, std::size_t size) {
    const auto after = memory.upper_bound(place);
    if (after == memory.begin()) return false;
    const auto& [start, room] = *std::prev(after);
    return place - start < room && size <= room - (place - start);
}

bool guards_stand() {
    return std::all_of(memory.begin(), memory.end(), [](const auto& piece) {
        const auto end = reinterpret_cast<unsigned char*>(piece.first + piece.second);
        return std::all_of(end, end + GUARD, [](auto byte) { return byte == 0xFF; });
    });
}

// Do what was asked; a copy waits only for what is ordered.
int finish(bool for_a_copy = false) {
    std::vector<Work> works = std::exchange(queue, {});
    std::stable_partition(works.begin(), works.end(), [](const Work& work) { return !work.ordered; });
    for (const Work& work : works) {
        if (for_a_copy && !work.ordered)
            queue.push_back(work);
        else if (broken == SUCCESS)
            broken = work.run();
    }
    return broken;
}

// What runs a kernel with the arguments that it was launched with.
template <typename... Types>
std::function<int()> bound(void (*kernel)(Types...), void** parameters, int blocks, int threads, std::size_t shared) {
    std::tuple<Types...> values;
    std::vector<Address> pointers;
    const auto read = [&](auto& value) {
        std::memcpy(&value, *parameters++, sizeof(value));
        if constexpr (std::is_pointer_v<std::remove_reference_t<decltype(value)>>)
            pointers.push_back(reinterpret_cast<Address>(value));
    };
    std::apply([&](auto&... each) { (read(each), ...); }, values);
    return [=] {
        if (const int code = injected("kernel")) return code;
        for (const Address pointer : pointers)
            if (!inside(pointer, 1)) return ILLEGAL_ADDRESS;
        const bool kept_to_shared = launch(blocks, threads, shared, [&] { std::apply(kernel, values); });
        return kept_to_shared && guards_stand() ? SUCCESS : ILLEGAL_ADDRESS;
    };
}

int cuInit(unsigned flags) {
    ENTER(NOTHING);
    initialised = flags == 0;
    return initialised ? SUCCESS : INVALID_VALUE;
}

int cuDeviceGet(int* device, int number) {
    ENTER(DRIVER);
    *device = 0;
    return number == 0 ? SUCCESS : INVALID_DEVICE;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    ENTER(DRIVER);
    if (device != 0) return INVALID_DEVICE;
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) return INVALID_VALUE;
    *value = found->second;
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
    ENTER(DRIVER);
    *context = &primary;
    return device == 0 ? SUCCESS : INVALID_DEVICE;
}

int cuCtxSetCurrent(void* context) {
    ENTER(DRIVER);
    current = context == &primary;
    return current || !context ? SUCCESS : INVALID_CONTEXT;
}

int cuCtxSynchronize() {
    ENTER(SOUND_CONTEXT);
    return finish();
}

int cuModuleLoadData(void** module, const void* image) {
    ENTER(SOUND_CONTEXT);
    *module = &module_loaded;
    return image && std::memcmp(image, "\x7f" "ELF", 4) == 0 ? SUCCESS : INVALID_IMAGE;
}

int cuModuleGetFunction(Kernel** kernel, void* module, const char* name) {
    ENTER(SOUND_CONTEXT);
    *kernel = std::find_if(std::begin(kernels), std::end(kernels), [&](const Kernel& one) { return one.name == name; });
    if (module != &module_loaded) return INVALID_HANDLE;
    return *kernel != std::end(kernels) ? SUCCESS : NOT_FOUND;
}

bool known(const Kernel* kernel) { return std::begin(kernels) <= kernel && kernel < std::end(kernels); }

int cuFuncSetAttribute(Kernel* kernel, int attribute, int value) {
    ENTER(SOUND_CONTEXT);
    if (!known(kernel)) return INVALID_HANDLE;
    if (attribute == PREFERRED_SHARED_MEMORY_CARVEOUT) return -1 <= value && value <= 100 ? SUCCESS : INVALID_VALUE;
    if (attribute != MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > attributes.at(97)) return INVALID_VALUE;
    kernel->shared = value;
    return SUCCESS;
}

int cuMemGetInfo(std::size_t* free, std::size_t* total) {
    ENTER(SOUND_CONTEXT);
    *total = size_of_device();
    *free = *total - std::min(*total, used());
    return SUCCESS;
}

int cuMemAlloc(Address* place, std::size_t size) {
    ENTER(SOUND_CONTEXT);
    if (size == 0) return INVALID_VALUE;
    if (used() + size > size_of_device()) return OUT_OF_MEMORY;
    void* const start = std::aligned_alloc(256, (size + GUARD + 255) / 256 * 256);
    std::memset(start, 0xFF, size + GUARD);
    *place = reinterpret_cast<Address>(start);
    memory[*place] = size;
    return SUCCESS;
}

int cuMemFree(Address place) {
    ENTER(CONTEXT);
    finish();
    if (memory.erase(place) == 0) return INVALID_VALUE;
    std::free(reinterpret_cast<void*>(place));
    return broken;
}

int cuMemcpyHtoD(Address to, const void* from, std::size_t size) {
    ENTER(SOUND_CONTEXT);
    if (!inside(to, size)) return INVALID_VALUE;
    const auto bytes = static_cast<const unsigned char*>(from);
    const std::vector<unsigned char> staged(bytes, bytes + size);
    finish(true);
    queue.push_back({[=] { return std::memcpy(reinterpret_cast<void*>(to), staged.data(), size), SUCCESS; }, true});
    return broken;
}

int cuMemcpyDtoH(void* to, Address from, std::size_t size) {
    ENTER(SOUND_CONTEXT);
    if (!inside(from, size)) return INVALID_VALUE;
    if (finish(true) == SUCCESS) std::memcpy(to, reinterpret_cast<void*>(from), size);
    return broken;
}

int cuStreamCreate(void** stream, unsigned flags) {
    ENTER(SOUND_CONTEXT);
    if (flags & ~NON_BLOCKING) return INVALID_VALUE;
    static std::uintptr_t last = 0;
    streams[*stream = reinterpret_cast<void*>(++last << 8)] = flags;
    return SUCCESS;
}

int cuStreamDestroy(void* stream) {
    ENTER(CONTEXT);
    return streams.erase(stream) ? SUCCESS : INVALID_HANDLE;
}

int cuLaunchKernel(Kernel* kernel, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared, void* stream, void** parameters,
                   void** extra) {
    ENTER(SOUND_CONTEXT);
    if (!known(kernel) || (stream && !streams.count(stream))) return INVALID_HANDLE;
    const bool in_a_row = blocks_y == 1 && blocks_z == 1 && threads_y == 1 && threads_z == 1;
    if (!in_a_row || blocks == 0 || threads == 0 || threads > unsigned(attributes.at(1))) return INVALID_VALUE;
    if (shared > unsigned(kernel->shared) || !parameters || extra) return INVALID_VALUE;
    const bool ordered = !stream_per_thread && (!stream || !(streams[stream] & NON_BLOCKING));
    queue.push_back({bound(kernel->function, parameters, blocks, threads, shared), ordered});
    ++launches;
    return SUCCESS;
}

#define CALL(name) {#name, reinterpret_cast<void*>(name)}
const std::map<std::string, void*> calls = {
    CALL(cuInit), CALL(cuDeviceGet), CALL(cuDeviceGetAttribute), CALL(cuDevicePrimaryCtxRetain), CALL(cuCtxSetCurrent),
    CALL(cuCtxSynchronize), CALL(cuModuleLoadData), CALL(cuModuleGetFunction), CALL(cuFuncSetAttribute),
    CALL(cuMemGetInfo), CALL(cuMemAlloc), CALL(cuMemFree), CALL(cuMemcpyHtoD), CALL(cuMemcpyDtoH), CALL(cuStreamCreate),
    CALL(cuStreamDestroy), CALL(cuLaunchKernel),
};

}  // namespace

#define SEEN extern "C" __attribute__((visibility("default")))

// How the bindings find every call, by its plain name and the version of CUDA in which its newest form appeared.
SEEN int cuGetProcAddress_v2(const char* name, void** call, int, std::uint64_t flags, int*) {
    stream_per_thread = flags & PER_THREAD_DEFAULT_STREAM;
    const auto found = calls.find(name);
    *call = found == calls.end() ? nullptr : found->second;
    return *call ? SUCCESS : NOT_FOUND;
}

// For tests: what is still allocated, which streams are still there, and how many kernels there have been.
SEEN std::size_t driver_bytes() { return used(); }
SEEN std::size_t driver_streams() { return streams.size(); }
SEEN std::size_t driver_launches() { return launches; }
