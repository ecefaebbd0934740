// SPDX-License-Identifier: BSD-3-Clause
#include "gemm/gemm.hpp"
#include "gemm/lanes.hpp"
#include "isa/parts.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

namespace {

// sum[i] += x[i].
template <class T>
void add(const T* x, T* sum, Index n) {
  Index i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) store(sum + i, load(sum + i) + load(x + i));
  if (i < n) store(sum + i, load(sum + i, n - i) + load(x + i, n - i), n - i);
}

template <class T>
void add_column_sums(Matrix<const T> m, T* sums) {
  for (Index i = 0; i < m.rows; ++i) add(m.data + i * m.row_stride, sums, m.cols);
}

// to[j * to_stride + i] = m(i, j).
template <class T>
void transpose_rows(Matrix<const T> m, T* to, Index to_stride) {
  constexpr Index kShort = 4;  // rows or columns that would leave a square mostly empty
  if (m.cols > kShort && m.rows > kShort) return transpose_columns(transposed(m), to, to_stride);
  for (Index j = 0; j < m.cols; ++j) {
    for (Index i = 0; i < m.rows; ++i) to[j * to_stride + i] = m.data[i * m.row_stride + j];
  }
}

}  // namespace

template <class T>
void fill_linear(Kernels<T>& table) {
  table.gemm = gemm<T>;
  table.gemm_scratch = gemm_scratch_size<T>();
  table.sum_over_lanes = sum_over_lanes<T>;
  table.transpose = transpose_rows<T>;
  table.add_column_sums = add_column_sums<T>;
  table.add = add<T>;
}

template void fill_linear(Kernels<float>&);
template void fill_linear(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
