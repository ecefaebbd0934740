// SPDX-License-Identifier: BSD-3-Clause
// The floating-point environment that every result is defined in: round to nearest, subnormals kept. A
// library that was linked with -ffast-math turns on flush-to-zero for the whole process; mlpkern sets the
// default for the time of a call and puts back what it found. Where it finds the default it writes nothing:
// a write takes some 10 ns, and there are two. The flags of exceptions that have been raised are no part of
// the environment.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mlpkern {

class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() : found_(get()) {
    if (found_ != kDefault) set(kDefault);
  }
  ~DefaultFloatEnvironment() {
    if (found_ != kDefault) set(found_);
  }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr std::uint64_t kDefault = 0x1f80, kFlags = 0x3f;  // all exceptions masked
  static std::uint64_t get() { return _mm_getcsr() & ~kFlags; }
  static void set(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kDefault = 0;
  static std::uint64_t get() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kDefault = 0;
  static std::uint64_t get() { return kDefault; }
  static void set(std::uint64_t) {}
#endif
  std::uint64_t found_;
};

}  // namespace mlpkern
