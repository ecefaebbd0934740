// SPDX-License-Identifier: BSD-3-Clause
// The table of kernels: all that the ISA-specific objects offer to the rest, as pointers to functions.
// The only header that both sides include. A kernel checks nothing and allocates nothing.
//
// Matrices given as a pointer with rows and cols are C-contiguous; no alignment is asked of any pointer.
// Outputs may be the input of the same shape where "in place" is said; no other overlap is allowed.
#pragma once

#include <cstdint>

#include "base/view.hpp"

namespace mlpkern {

// A number that belongs to an activation, a loss or an optimizer: ELU's alpha, Adam's eps.
struct ParameterSpec {
  const char* name;
  double default_value;
};
constexpr int kMaxParameters = 8;

// s, a, v, g: (rows, cols); parameters: one double for each ParameterSpec, in order. In place is allowed.
template <class T>
struct ActivationKernels {
  const char* name;                          // as Python spells the class: "LeakyReLU"
  ParameterSpec parameters[kMaxParameters];  // ends at the first without a name
  bool by_rows;                              // softargmax and its logarithm

  using Map = void (*)(const T* s, T* out, Index rows, Index cols, const double* parameters);
  using Product = void (*)(const T* s, const T* v, T* out, Index rows, Index cols, const double* parameters);
  using Backward = void (*)(const T* s, const T* a, const T* da, T* ds, Index rows, Index cols,
                            const double* parameters);
  Map value;              // a = f(s)
  Map derivative;         // f'(s); null where by_rows
  Map second_derivative;  // f''(s); null where by_rows
  Map third_derivative;   // f'''(s); null where by_rows
  // The three from a = f(s), right to an ulp of 1; null where there is no such form.
  Map from_output[3];
  Product jvp;        // (da/ds) v, row by row
  Product vjp;        // g (da/ds), row by row
  Backward backward;  // ds = da (da/ds), free to use a = f(s), which the forward pass kept

  // Row by row; null where elementwise, where both are f''(s) v w.
  using Curvature = void (*)(const T* s, const T* v, const T* w, T* out, Index rows, Index cols,
                             const double* parameters);
  Curvature second_jvp;  // (d2a/ds2)(v, w): for each output k, sum_ij d2a_k/ds_i ds_j v_i w_j
  Curvature second_vjp;  // v (d2a/ds2) w: for each input j, sum_ki v_k d2a_k/ds_j ds_i w_i
};

// p: predictions (rows, cols). Targets: y (rows, cols) or, where y is null, labels (rows,), each in
// [0, cols). cost (rows,): the samples' costs, unweighted; may be null. gradient (rows, cols):
// factor[i] dC_i/dp, exactly 0 where factor[i] is 0; may be null; in place of p is allowed. factor may
// be null only where gradient is.
template <class T>
struct LossKernels {
  const char* name;
  ParameterSpec parameters[kMaxParameters];
  bool takes_labels;
  void (*evaluate)(const T* p, const T* y, const std::int64_t* labels, Index rows, Index cols,
                   const double* parameters, const double* factor, double* cost, T* gradient);
  // out (rows, cols) = factor[i] (d2C_i/dp2) v; factor as above, not null. In place of v is allowed.
  void (*curvature)(const T* p, const T* y, const std::int64_t* labels, Index rows, Index cols,
                    const double* parameters, const double* factor, const T* v, T* out);
};

// One step: w and the states change in place; g is only read. n parameters; step counts from 1.
constexpr int kMaxStates = 3;
template <class T>
struct OptimizerKernels {
  const char* name;
  ParameterSpec parameters[kMaxParameters];
  const char* states[kMaxStates];  // names: "exp_avg"; null past the last
  void (*update)(T* w, const T* g, T* const* states, Index n, const double* parameters, std::int64_t step);
};

// What a pass of dropout keeps: elements whose random word, made from the key, is less than `keep`, times
// scale.
struct DropoutMask {
  std::uint32_t key[2];
  std::uint32_t keep;
  double scale;
};

// (x - mean) factor, a number of each for a column; mean null for 0.
struct Standardization {
  const double *mean, *factor;
};

// The lanes of a register where it is widest: a sum over lanes is defined by so many, on every ISA.
template <class T>
inline constexpr Index kLanes = 64 / static_cast<Index>(sizeof(T));

// What an element of a product starts from: bias, of its column; bias_of_rows, of its row; accumulate, what
// it holds.
enum class Start { zero, bias, bias_of_rows, accumulate };

template <class T>
struct Kernels {
  const ActivationKernels<T>* activations;
  Index activation_count;
  const LossKernels<T>* losses;
  Index loss_count;
  const OptimizerKernels<T>* optimizers;
  Index optimizer_count;

  // c = start + a b, each element one chain of fused multiply-adds over k in order: any strides of a and
  // b; c has col_stride 1. bias, (c.cols,) or for bias_of_rows (c.rows,), is read for these two alone, c for
  // Start::accumulate alone.
  // scratch: gemm_scratch elements, 64-byte aligned, the caller's own.
  void (*gemm)(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch);
  Index gemm_scratch;

  // The same product for a b that stays: pack copies it, into packed_size elements, 64-byte aligned, as
  // gemm_packed reads it best. packed_size is 0 where gemm is as fast. a, whose col_stride is 1, has as many
  // columns as b had rows.
  Index (*packed_size)(Index rows, Index cols);
  void (*pack)(Matrix<const T> b, T* packed);
  void (*gemm_packed)(Matrix<const T> a, const T* packed, Matrix<T> c, Start start, const T* bias);

  // sums[j] += m(0, j) + m(1, j) + …, added one row after the other; m has col_stride 1.
  void (*add_column_sums)(Matrix<const T> m, T* sums);

  // dw (D, L) = start + x ds', start zero or accumulate, and so db (L,), null for none, from the sums of ds
  // along its rows; x (D, n) and ds (L, n), both with col_stride 1: a sample in each lane. Lane j of
  // kLanes adds up samples j, j + kLanes, … in order, and the lanes are folded, the second half onto the
  // first, until one is left.
  void (*sum_over_lanes)(Matrix<const T> x, Matrix<const T> ds, Matrix<T> dw, T* db, Start start);

  // to[j * to_stride + i] = m(i, j); m has col_stride 1.
  void (*transpose)(Matrix<const T> m, T* to, Index to_stride);

  // sum[i] += x[i];  out[i] = x[i] y[i];  sum[i] += x[i] y[i]. In place is allowed.
  void (*add)(const T* x, T* sum, Index n);
  void (*multiply)(const T* x, const T* y, T* out, Index n);
  void (*multiply_add)(const T* x, const T* y, T* sum, Index n);

  // y = (x - mean) factor, x and y (rows, cols), or turned, (cols, stride): a column in each row. In double,
  // rounded to T once. In place is allowed.
  void (*standardize)(const T* x, Standardization by, T* y, Index rows, Index cols);
  void (*standardize_turned)(const T* x, Standardization by, T* y, Index cols, Index stride);

  // out (rows, cols) = x' y, or added to it; x (rows,), y (cols,).
  void (*outer_product)(const T* x, Index rows, const T* y, Index cols, T* out, bool accumulate);

  // (factor x[0])² + (factor x[1])² + … in 32 virtual lanes;  x *= factor;  x into [-bound, bound], NaN
  // stays.
  double (*sum_of_squares)(const T* x, double factor, Index n);
  void (*scale)(T* x, double factor, Index n);
  void (*clamp)(T* x, T bound, Index n);

  // out = x times the mask's factors, at rows first_row, first_row + 1, … of a batch. x, out (rows, cols), or
  // where stride is not 0 column after column of so many rows each. In place is allowed.
  void (*dropout)(const T* x, T* out, Index first_row, Index rows, Index cols, Index stride,
                  const DropoutMask& mask);

  // m[i] = (1/beta) log sum_k exp(beta e[i, k]); e (rows, cols), m (rows,).
  void (*logsumexp)(const T* e, T* m, Index rows, Index cols, double beta);

  // The machine's limits, for the benchmark: count times fma_probe_flops multiplications and additions in
  // registers, as many as it can do at once; and y += factor x, (n,) each.
  T (*fma_probe)(Index count, T half, T one);
  Index fma_probe_flops;
  void (*bandwidth_probe)(T* y, const T* x, T factor, Index n);
};

}  // namespace mlpkern
