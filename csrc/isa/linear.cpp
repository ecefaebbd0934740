// SPDX-License-Identifier: BSD-3-Clause
#include "gemm/gemm.hpp"
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

}  // namespace

template <class T>
void fill_linear(Kernels<T>& table) {
  table.gemm = gemm<T>;
  table.gemm_scratch = gemm_scratch_size<T>();
  table.add_column_sums = add_column_sums<T>;
  table.add = add<T>;
}

template void fill_linear(Kernels<float>&);
template void fill_linear(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
