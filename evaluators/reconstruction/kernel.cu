// Matrix reconstruction on a GPU: the arithmetic of evaluators/reconstruction/cpu.py, bit for bit.
//
// A strand is eight rows of the identity (a block) on their way through the cascade of one problem. A thread block
// trains a few problems of one topology from the first step to the last, a round of strands at a time. A thread keeps
// to one strand and takes neurons in turn, with a neuron's eight rows in registers: nothing is summed across threads
// except through memory, in a fixed order. Gradients of values replace the values themselves.
//
// Compile with contraction off: every operation below is rounded once, and fmaf stands where the CPU has fma.
// evaluators/reconstruction/gpu_layout.py lays out the arrays, evaluators/reconstruction/gpu_driver.py compiles and launches.

struct Job {  // what a thread block trains; the last fields say where things begin in the arrays, in their elements
    int depth, neurons, outputs, blocks, slots;
    int head_edges, head_trainable;  // edges of the first layer, the trainable ones first: they have the first slots
    int problems, round;             // problems trained, and how many blocks of each are in flight together
    int first;                       // tables: the first neuron of layer 1, 2, ..., and the end of the last
    int head;                        // tables, in pairs: (neuron, input) of the first layer's edges
    int into, out_of;                // tables, in pairs: where each neuron's edges begin and end, again in pairs ...
                                     // ... (neuron at the far end, slot); constants have the slot after the last, a 1
    int peaks, goals;                // given; goals in float4
    int kept, lowest;                // kept and lowest
    int scratch;                     // scratch, in float4
};

struct Rows {  // one value for each row of a block
    float4 low, high;
};

__device__ __forceinline__ float4 add(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }
__device__ __forceinline__ float4 subtract(float4 a, float4 b) { return {a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w}; }
__device__ __forceinline__ float4 multiply(float4 a, float4 b) { return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w}; }
__device__ __forceinline__ float4 add_scaled(float4 a, float s, float4 b) {
    return {fmaf(s, b.x, a.x), fmaf(s, b.y, a.y), fmaf(s, b.z, a.z), fmaf(s, b.w, a.w)};
}
__device__ __forceinline__ Rows add(Rows a, Rows b) { return {add(a.low, b.low), add(a.high, b.high)}; }
__device__ __forceinline__ Rows subtract(Rows a, Rows b) { return {subtract(a.low, b.low), subtract(a.high, b.high)}; }
__device__ __forceinline__ Rows add_scaled(Rows a, float s, Rows b) {
    return {add_scaled(a.low, s, b.low), add_scaled(a.high, s, b.high)};
}
__device__ __forceinline__ Rows zeros() { return {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}}; }

// Halves added to halves.
__device__ __forceinline__ float fold(float4 low, float4 high) {
    const float4 four = add(low, high);
    return (four.x + four.z) + (four.y + four.w);
}

const int NEVER = 1 << 30;  // the turn of a thread that is left over

struct Schedule {
    const float *rates, *floors;  // a step's rate and epsilon, with Adam's bias corrections
    int steps;
    float keep_1, take_1, keep_2, take_2;  // Adam's memories
};

// What a thread knows: its thread block's job and memory, and its own share of the work. No phase ends with a barrier:
// the caller shows where threads meet.
//
// Values lie by neuron: the low halves of all strands, then the high ones. Shared memory hands out 128 bytes at a time,
// all banks once, and that is what eight neighbouring threads read: halves of eight strands, or of four strands of two
// neurons. The two might meet in a bank; therefore threads with odd turns are crossed: what they call low is the high
// half. No operation minds, and sums of two halves are the same either way round.
template <bool VALUES_SHARED, bool WEIGHTS_SHARED>
struct Trainer {
    const Job job;
    const int* first;  // first[l]: number of layer l's first neuron, for l >= 1
    const int2* pairs;
    const float4* goals;
    const int strands, strand, turns, turn, problem;  // a thread keeps to one strand, and takes turns at neurons
    const int pupil, slots_at_once, first_slot;       // or to one problem, its pupil, and takes turns at slots
    const int low, high;                              // where its halves are among those of a neuron
    float* squares;                                   // of residuals, summed: by problem, block and row
    float4* values;
    float *share, *mean, *square, *gradient, *weight, *best;  // by slot and problem, but a share by slot and strand

    __device__ __forceinline__ Trainer(const Job& job, float4* shared, const int* tables, const float* given,
                                       float* kept, float4* scratch)
        : job(job),
          first(tables + job.first - 1),
          pairs(reinterpret_cast<const int2*>(tables)),
          goals(reinterpret_cast<const float4*>(given) + job.goals),
          strands(job.problems * job.round),
          strand(threadIdx.x % strands),
          turns(blockDim.x / strands),
          turn(threadIdx.x < turns * strands ? threadIdx.x / strands : NEVER),
          problem(strand / job.round),
          pupil(threadIdx.x % job.problems),
          slots_at_once(blockDim.x / job.problems),
          first_slot(threadIdx.x < slots_at_once * job.problems ? threadIdx.x / job.problems : NEVER),
          low(turn % 2 == 0 ? strand : strands + strand),
          high(turn % 2 == 0 ? strands + strand : strand) {
        const int weights = job.slots * job.problems;
        float4* const own_scratch = scratch + job.scratch;
        float4* const after_squares = shared + 2 * job.problems * job.blocks;
        squares = reinterpret_cast<float*>(shared);
        values = VALUES_SHARED ? after_squares : own_scratch;
        float4* const after_values = values + 2 * job.neurons * strands;
        share = reinterpret_cast<float*>(VALUES_SHARED ? own_scratch : after_values);
        mean = share + job.slots * strands;
        square = mean + weights;
        gradient = square + weights;
        weight = WEIGHTS_SHARED ? reinterpret_cast<float*>(after_values) : gradient + weights;
        best = kept + job.kept;
    }

    __device__ __forceinline__ Rows load(int neuron) const {
        const int place = 2 * strands * neuron;
        return {(values + low)[place], (values + high)[place]};
    }
    __device__ __forceinline__ void store(int neuron, Rows rows) const {
        const int place = 2 * strands * neuron;
        (values + low)[place] = rows.low;
        (values + high)[place] = rows.high;
    }
    __device__ __forceinline__ float* row(int neuron, int strand, int number) const {
        return reinterpret_cast<float*>(values + 2 * strands * neuron + strand + (number < 4 ? 0 : strands)) +
               number % 4;
    }

    __device__ __forceinline__ void start() const {
        const int weights = job.slots * job.problems;
        for (int i = threadIdx.x; i < weights + job.problems; i += blockDim.x) weight[i] = i < weights ? best[i] : 1.0f;
        for (int i = threadIdx.x; i < weights; i += blockDim.x) mean[i] = square[i] = 0.0f;
    }

    // The first layer's outputs are its weights: nothing but them differs from zero.
    __device__ __forceinline__ void clear_first_layer() const {
        for (int k = turn; k < first[2]; k += turns) store(k, zeros());
    }
    __device__ __forceinline__ void fill_first_layer(int begin) const {
        for (int i = threadIdx.x; i < job.head_edges * job.problems; i += blockDim.x) {
            const int edge = i / job.problems;
            if (float* const entry = first_layer_entry(edge, i % job.problems, begin))
                *entry = edge < job.head_trainable ? weight[i] : 1.0f;
        }
    }
    // Where an edge of the first layer meets its input's row, if that is in this round.
    __device__ __forceinline__ float* first_layer_entry(int edge, int owner, int begin) const {
        const int2 ends = pairs[job.head + edge];
        const int block = ends.y / 8 - begin;
        return 0 <= block && block < job.round ? row(ends.x, owner * job.round + block, ends.y % 8) : nullptr;
    }

    __device__ __forceinline__ void forward(int layer, int begin) const {
        const int end = first[layer + 1];
        for (int k = first[layer] + turn; k < end; k += turns) {
            const int2 edges = pairs[job.into + k];
            Rows total = zeros();
#pragma unroll 2  // fan-ins of 2 are common
            for (int e = edges.x; e < edges.y; ++e) {
                const int2 source = pairs[e];
                total = add_scaled(total, weight[source.y * job.problems + problem], load(source.x));
            }
            store(k, layer == job.depth ? residual(total, k - first[layer], begin) : total);
        }
    }

    // The loss is half the squared error: the residual is the gradient of an output, and takes its place at once.
    __device__ __forceinline__ Rows residual(Rows value, int output, int begin) const {
        const float4* const goal = goals + 2 * (begin * job.problems * job.outputs + strands * output);
        return subtract(value, {goal[low], goal[high]});
    }
    __device__ __forceinline__ void residuals_of_first_layer(int begin) const {
        for (int k = turn; k < job.outputs; k += turns) store(k, residual(load(k), k, begin));
    }

    __device__ __forceinline__ void sum_squares(int begin) const {
        for (int i = threadIdx.x; i < 8 * strands; i += blockDim.x) {
            const int owner = i / (8 * job.round), block = begin + i / 8 % job.round;
            float sum = 0.0f;
            for (int k = first[job.depth]; k < job.neurons; ++k) {
                const float residual = *row(k, i / 8, i % 8);
                sum = fmaf(residual, residual, sum);
            }
            if (block < job.blocks) squares[(owner * job.blocks + block) * 8 + i % 8] = sum;
        }
    }

    __device__ __forceinline__ void backward(int layer) const {
        const int end = first[layer + 1];
        for (int k = first[layer] + turn; k < end; k += turns) {
            const int2 edges = pairs[job.out_of + k];
            const Rows value = load(k);
            Rows total = zeros();
#pragma unroll 2
            for (int e = edges.x; e < edges.y; ++e) {
                const int2 target = pairs[e];
                const Rows arriving = load(target.x);
                total = add_scaled(total, weight[target.y * job.problems + problem], arriving);
                const float part = fold(multiply(value.low, arriving.low), multiply(value.high, arriving.high));
                if (target.y < job.slots) share[target.y * strands + strand] = part;
            }
            store(k, total);
        }
    }

    __device__ __forceinline__ float loss() const {
        const float4* const sums = reinterpret_cast<const float4*>(squares) + 2 * pupil * job.blocks;
        Rows sum = zeros();
#pragma unroll 4
        for (int block = 0; block < job.blocks; ++block) sum = add(sum, {sums[2 * block], sums[2 * block + 1]});
        return fold(sum.low, sum.high);
    }

    // A slot's gradient over the blocks so far.
    __device__ __forceinline__ float gathered(int slot, int begin) const {
        float sum = begin == 0 ? 0.0f : gradient[slot * job.problems + pupil];
        if (slot < job.head_trainable) {
            const float* const entry = first_layer_entry(slot, pupil, begin);
            return entry ? sum + *entry : sum;
        }
        const float* const shares = share + slot * strands + pupil * job.round;
        const int count = min(job.round, job.blocks - begin);
        int b = 0;
#pragma unroll 1
        for (; job.round % 4 == 0 && b + 4 <= count; b += 4) {
            const float4 four = *reinterpret_cast<const float4*>(shares + b);
            sum = (((sum + four.x) + four.y) + four.z) + four.w;
        }
#pragma unroll 1
        for (; b < count; ++b) sum += shares[b];
        return sum;
    }

    __device__ __forceinline__ void gather(int begin) const {
        for (int slot = first_slot; slot < job.slots; slot += slots_at_once)
            gradient[slot * job.problems + pupil] = gathered(slot, begin);
    }

    __device__ __forceinline__ void adam(int begin, const Schedule& schedule, float pace, float floor,
                                         bool keep) const {
        for (int slot = first_slot; slot < job.slots; slot += slots_at_once) {
            const int i = slot * job.problems + pupil;
            const float g = gathered(slot, begin), w = weight[i];
            const float m = fmaf(schedule.keep_1, mean[i], schedule.take_1 * g);
            const float v = fmaf(schedule.keep_2, square[i], schedule.take_2 * g * g);
            if (keep) best[i] = w;
            mean[i] = m;
            square[i] = v;
            weight[i] = w - pace * m / (sqrtf(v) + floor);
        }
    }
};

template <bool VALUES_SHARED, bool WEIGHTS_SHARED>
__device__ __forceinline__ void train(const Job* __restrict__ jobs, const int* __restrict__ tables,
                                      const float* __restrict__ given, const Schedule& schedule, float* kept,
                                      float* lowest_losses, float4* scratch) {
    extern __shared__ float4 shared[];
    const Trainer<VALUES_SHARED, WEIGHTS_SHARED> trainer(jobs[blockIdx.x], shared, tables, given, kept, scratch);
    const Job& job = trainer.job;
    const float peak = given[job.peaks + trainer.pupil];
    float lowest = lowest_losses[job.lowest + trainer.pupil];
    trainer.start();
    for (int step = 0; step < schedule.steps; ++step) {
        for (int begin = 0; begin < job.blocks; begin += job.round) {
            __syncthreads();  // the weights are there, and nobody needs the last round's values
            trainer.clear_first_layer();
            __syncthreads();
            trainer.fill_first_layer(begin);
            for (int layer = 2; layer <= job.depth; ++layer) {
                __syncthreads();
                trainer.forward(layer, begin);
            }
            if (job.depth == 1) {
                __syncthreads();
                trainer.residuals_of_first_layer(begin);
            }
            __syncthreads();
            trainer.sum_squares(begin);
            for (int layer = job.depth - 1; layer > 0; --layer) {
                trainer.backward(layer);
                __syncthreads();
            }
            __syncthreads();  // needed where there is one layer only
            if (begin + job.round < job.blocks) {
                trainer.gather(begin);
            } else {
                const float loss = trainer.loss();
                trainer.adam(begin, schedule, peak * schedule.rates[step], schedule.floors[step], loss < lowest);
                if (loss < lowest) lowest = loss;
            }
        }
    }
    if (threadIdx.x < job.problems) lowest_losses[job.lowest + trainer.pupil] = lowest;
}

#define KERNEL(name, values_shared, weights_shared)                                                                  \
    extern "C" __global__ void __launch_bounds__(1024)                                                               \
        name(const Job* __restrict__ jobs, const int* __restrict__ tables, const float* __restrict__ given,          \
             const float* __restrict__ rates, const float* __restrict__ floors, int steps, float keep_1,             \
             float take_1, float keep_2, float take_2, float* kept, float* lowest, float4* scratch) {                \
        const Schedule schedule = {rates, floors, steps, keep_1, take_1, keep_2, take_2};                            \
        train<values_shared, weights_shared>(jobs, tables, given, schedule, kept, lowest, scratch);                  \
    }

KERNEL(train_shared, true, true)
KERNEL(train_shared_values, true, false)
KERNEL(train_global, false, false)
