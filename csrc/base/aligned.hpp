// SPDX-License-Identifier: BSD-3-Clause
// Memory of one's own: 64-byte aligned (a cache line, an AVX-512 register), grown but never shrunk.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <new>

#include "base/view.hpp"

namespace mlpkern {

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(Index size) { reserve(size); }

  // Room for `size` elements; what they hold is lost where the buffer grows. Throws std::bad_alloc and
  // then is as it was.
  void reserve(Index size) {
    if (size <= size_) return;
    if (size > std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(T))) throw std::bad_alloc();
    data_.reset(static_cast<T*>(
        ::operator new (static_cast<std::size_t>(size) * sizeof(T), std::align_val_t{kAlignment})));
    size_ = size;
  }

  T* data() const { return data_.get(); }
  Index size() const { return size_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

}  // namespace mlpkern
