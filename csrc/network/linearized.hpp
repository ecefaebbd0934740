// SPDX-License-Identifier: BSD-3-Clause
// A network at given samples and with the parameters of that moment, which it copies: any number of products
// with its Jacobians from one forward pass.
#pragma once

#include "network/network.hpp"

namespace mlpkern {

template <class T>
class Linearized {
 public:
  Linearized(const Program& program, const Arrays<T>& parameters, const T* x, Index n, T* y);

  Index rows() const { return n_; }
  const Program& program() const { return program_; }
  // jv (n, K) of v (n, D); gj (n, D) of g (n, K). Any number of threads at once.
  void jvp(const T* v, T* jv) const;
  void vjp(const T* g, T* gj) const;

 private:
  template <class Use>
  void at_tiles(const Use& use) const;

  const Program program_;
  const Index n_;
  AlignedBuffer<T> memory_;  // the parameters
  Arrays<T> parameters_;
  ValueBuffers<T> v_, f1_;
  mutable IdleWorkspaces<T> idle_;
};

}  // namespace mlpkern
