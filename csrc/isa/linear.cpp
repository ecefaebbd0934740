// SPDX-License-Identifier: BSD-3-Clause
#include "gemm/gemm.hpp"
#include "gemm/lanes.hpp"
#include "isa/parts.hpp"
#include "kernels/standardize.hpp"
#include "kernels/vectors.hpp"
#include "simd/transpose.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

namespace {

// The columns of V registers, of the last of which `lanes...` are in use: sums stay in registers over the
// rows. One chain a column in the order of the rows, so a row takes no less than the latency of an addition.
template <Index V, class T, class... Lanes>
MLPKERN_INLINE void add_columns(Matrix<const T> m, T* sums, Lanes... lanes) {
  constexpr Index width = Vec<T>::width, last = (V - 1) * width;
  Vec<T> sum[V];
  for (Index v = 0; v < V - 1; ++v) sum[v] = load(sums + v * width);
  sum[V - 1] = load(sums + last, lanes...);
  const T* row = m.data;
  for (Index i = 0; i < m.rows; ++i, row += m.row_stride) {
    for (Index v = 0; v < V - 1; ++v) sum[v] = sum[v] + load(row + v * width);
    sum[V - 1] = sum[V - 1] + load(row + last, lanes...);
  }
  for (Index v = 0; v < V - 1; ++v) store(sums + v * width, sum[v]);
  store(sums + last, sum[V - 1], lanes...);
}

// The last columns, fewer than four registers of them.
template <Index V, class T>
void add_last_columns(Matrix<const T> m, T* sums) {
  constexpr Index width = Vec<T>::width;
  if (m.cols == V * width) return add_columns<V>(m, sums);
  if (m.cols > (V - 1) * width) return add_columns<V>(m, sums, m.cols - (V - 1) * width);
  if constexpr (V > 1) add_last_columns<V - 1>(m, sums);
}

// Four registers of columns hide the latency. Where there are more, the rows are taken eight at a time, as
// so many streams from memory, and the sums come from L1 for each eight: with 64 rows at a time, 4096 x 512
// floats took 1.4 times as long.
template <class T>
void add_column_sums(Matrix<const T> m, T* sums) {
  constexpr Index kColumns = 4 * Vec<T>::width;
  const Index step = m.cols <= kColumns ? m.rows : 8;
  for (Index row = 0; row < m.rows; row += step) {
    const Matrix<const T> rows = rows_of(m, row, step < m.rows - row ? step : m.rows - row);
    Index j = 0;
    for (; j + kColumns <= m.cols; j += kColumns) add_columns<4>(cols_of(rows, j, kColumns), sums + j);
    if (j < m.cols) add_last_columns<4>(cols_of(rows, j, m.cols - j), sums + j);
  }
}

// to[j * to_stride + i] = m(i, j).
template <class T>
void transpose_rows(Matrix<const T> m, T* to, Index to_stride) {
  constexpr Index kShort = 4;  // rows or columns that would leave a square mostly empty
  if (m.cols > kShort && m.rows > kShort) return transpose_columns(transposed(m), to, to_stride);
  Index i0 = 0, j0 = 0;  // what is done of the rows, or of the columns
  if (m.cols == 2 && m.row_stride == 2) i0 = part_columns<2>(m.data, m.rows, to, to_stride);
  if (m.cols == 4 && m.row_stride == 4) i0 = part_columns<4>(m.data, m.rows, to, to_stride);
  if (i0 == 0 && m.rows == 2 && to_stride == 2) j0 = join_rows<2>(m.data, m.row_stride, m.cols, to);
  if (i0 == 0 && m.rows == 4 && to_stride == 4) j0 = join_rows<4>(m.data, m.row_stride, m.cols, to);
  for (Index j = j0; j < m.cols; ++j) {
    for (Index i = i0; i < m.rows; ++i) to[j * to_stride + i] = m.data[i * m.row_stride + j];
  }
}

}  // namespace

template <class T>
void fill_linear(Kernels<T>& table) {
  table.gemm = gemm<T>;
  table.gemm_scratch = gemm_scratch_size<T>();
  table.packed_size = packed_size<T>;
  table.pack = pack<T>;
  table.gemm_packed = gemm_packed<T>;
  table.sum_over_lanes = sum_over_lanes<T>;
  table.transpose = transpose_rows<T>;
  table.add_column_sums = add_column_sums<T>;
  table.add = add<T>;
  table.multiply = multiply<T>;
  table.multiply_add = multiply_add<T>;
  table.outer_product = outer_product<T>;
  table.standardize = standardize<T>;
  table.standardize_turned = standardize_turned<T>;
}

template void fill_linear(Kernels<float>&);
template void fill_linear(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
