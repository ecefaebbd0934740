// SPDX-License-Identifier: BSD-3-Clause
// Runs every kernel of the table on fixed inputs and prints one line a kernel and dtype, with a hash of all
// that it wrote: what promise "the same bits" means from machine to machine.
//
//   bits avx2 avx512        each named ISA; exit status 1, and a line with each one's hash, where they differ
//   bits neon               on another machine: compare its lines with those of `bits avx2`
//   bits avx2 +Tanh.value   the numbers themselves of the lines that begin so, to find where two differ
//   bits                    the ISAs of this build that this machine has
//
// Inputs come from integers and exact arithmetic alone, so that every machine has the same. All NaNs count
// as one: IEEE 754 leaves their sign and payload open. Outputs lie between guards that are hashed with them.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "dispatch/registry.hpp"

namespace mlpkern {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Steele, Lea and Flood's SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // A multiple of 2^-20 in [-scale, scale); scale a power of two.
  double uniform(double scale) {
    return scale * 0x1p-20 * static_cast<double>(static_cast<std::int64_t>(bits() >> 43) - (1 << 20));
  }

 private:
  std::uint64_t state_;
};

template <class T>
struct BitsOf;
template <>
struct BitsOf<float> {
  using type = std::uint32_t;
};
template <>
struct BitsOf<double> {
  using type = std::uint64_t;
};
template <class T>
using Bits = typename BitsOf<T>::type;

// What one kernel wrote for one dtype: FNV-1a over the numbers, in order.
class Line {
 public:
  explicit Line(bool print) : print_(print) {}
  template <class T>
  void add(const std::vector<T>& numbers) {
    for (const T x : numbers) {
      const std::uint64_t bits = x != x ? ~std::uint64_t{0} : std::bit_cast<Bits<T>>(x);
      for (int shift = 0; shift < 64; shift += 8) hash_ = (hash_ ^ (bits >> shift & 0xff)) * 0x100000001b3;
      if (print_) std::printf("    %a\n", static_cast<double>(x));
    }
  }
  std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
  bool print_;
};

class Report {
 public:
  explicit Report(std::string shown) : shown_(std::move(shown)) {}
  template <class T>
  Line& line(const std::string& kernel) {
    const std::string name = kernel + (sizeof(T) == 4 ? " float32" : " float64");
    const auto known = index_.find(name);
    if (known != index_.end()) return lines_[known->second];
    const bool print = !shown_.empty() && name.starts_with(shown_);
    if (print) std::printf("%s\n", name.c_str());
    index_[name] = lines_.size();
    names.push_back(name);
    return lines_.emplace_back(print);
  }
  std::uint64_t hash(std::size_t i) const { return lines_[i].hash(); }

  std::vector<std::string> names;

 private:
  std::string shown_;
  std::map<std::string, std::size_t> index_;
  std::deque<Line> lines_;
};

// An output of n elements between guards; its alignment changes with n.
template <class T>
class Output {
 public:
  explicit Output(Index n) : all_(at(n + 2 * kGuard + n % 5), T(-123.5)), first_(kGuard + n % 5) {}
  Output(const std::vector<T>& start) : Output(static_cast<Index>(start.size())) {
    std::copy(start.begin(), start.end(), data());
  }
  T* data() { return all_.data() + first_; }
  const std::vector<T>& all() const { return all_; }

 private:
  static constexpr Index kGuard = 19;
  std::vector<T> all_;
  Index first_;
};

// Zeros, subnormals, infinities, NaN, kinks, and places where a formula changes or ends.
template <class T>
std::vector<T> specials() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> all = {T(0), Limits::infinity(), Limits::quiet_NaN()};
  for (const double x : {0x1p-1074,
                         0x1p-1022,
                         0x1p-149,
                         0x1p-126,
                         0x1p-60,
                         0x1p-24,
                         0.0625,
                         0.09375,
                         0.25,
                         0.34657359,
                         0.41421356,
                         0.5,
                         0.75,
                         1.0,
                         1.5,
                         3.0,
                         6.0,
                         9.3,
                         14.875,
                         16.0,
                         24.0,
                         32.0,
                         39.0,
                         40.0,
                         87.3,
                         88.72283,
                         103.97208,
                         600.0,
                         709.78271289338397,
                         745.13321910194122,
                         1000.0,
                         0x1p19,
                         0x1p24,
                         0x1p53,
                         0x1p127,
                         0x1p200,
                         0x1p540,
                         0x1p1023}) {
    const T number = static_cast<T>(x);
    if (number == T(0) || number > Limits::max()) continue;
    const auto bits = std::bit_cast<Bits<T>>(number);
    for (const auto near : {bits - 1, bits, bits + 1})
      all.push_back(std::bit_cast<T>(static_cast<Bits<T>>(near)));
  }
  const std::size_t positive = all.size();
  for (std::size_t i = 0; i < positive; ++i) all.push_back(-all[i]);
  return all;
}

// n numbers: specials, any bits, and numbers of everyday size, mixed.
template <class T>
std::vector<T> mixture(Index n, std::uint64_t seed) {
  static const std::vector<T> special = specials<T>();
  Random random(seed);
  std::vector<T> all;
  for (Index i = 0; i < n; ++i) {
    const std::uint64_t r = random.bits();
    switch (r % 8) {
      case 0:
        all.push_back(special[(r >> 8) % special.size()]);
        break;
      case 1:
        all.push_back(std::bit_cast<T>(static_cast<Bits<T>>(random.bits())));
        break;
      case 2:
        all.push_back(static_cast<T>(random.uniform(1024.0)));
        break;
      case 3:
        all.push_back(static_cast<T>(random.uniform(1.0 / 1024)));
        break;
      default:
        all.push_back(static_cast<T>(random.uniform(16.0)));
    }
  }
  return all;
}

template <class T>
std::vector<T> uniform(Index n, std::uint64_t seed, double scale) {
  Random random(seed);
  std::vector<T> all;
  for (Index i = 0; i < n; ++i) all.push_back(static_cast<T>(random.uniform(scale)));
  return all;
}

// Everyday numbers; some rows have a special in them.
template <class T>
std::vector<T> rows_with_specials(Index rows, Index cols, std::uint64_t seed) {
  static const std::vector<T> special = specials<T>();
  std::vector<T> all = uniform<T>(rows * cols, seed, 8.0);
  Random random(seed + 1);
  for (Index i = 1; i < rows && cols > 0; i += 2) {
    all[at(i * cols) + random.bits() % at(cols)] = special[random.bits() % special.size()];
  }
  return all;
}

// Probabilities, 0 and 1 among them.
template <class T>
std::vector<T> probabilities(Index n, std::uint64_t seed) {
  std::vector<T> all = uniform<T>(n, seed, 0.5);
  for (T& p : all) p = p + T(0.5);
  for (std::size_t i = 3; i < all.size(); i += 7) all[i] = i % 2 == 0 ? T(0) : T(1);
  return all;
}

// The defaults; other numbers; and each option of the kind "0 or not" the other way.
std::vector<std::vector<double>> parameter_sets(const ParameterSpec (&specs)[kMaxParameters]) {
  std::vector<double> defaults, others, flipped;
  for (const ParameterSpec& spec : specs) {
    if (spec.name == nullptr) break;
    defaults.push_back(spec.default_value);
    others.push_back(0.7 * spec.default_value + 0.1);
    const bool option = spec.name == std::string("log_input");
    flipped.push_back(spec.default_value == 0 ? 1.0 : option ? 0.0 : spec.default_value);
  }
  if (defaults.empty()) return {defaults};
  return {defaults, others, flipped};
}

// Lengths around every vector width, the loops' chunks, and one long enough for all inputs.
std::vector<Index> lengths() {
  std::vector<Index> all;
  for (Index n = 0; n <= 40; ++n) all.push_back(n);
  for (const Index n : {63, 65, 511, 512, 513, 4099}) all.push_back(n);
  return all;
}

struct Shape {
  Index rows, cols;
};
const Shape kShapes[] = {{1, 1},  {3, 1},  {70, 1}, {1, 2},  {9, 3},   {5, 4},   {4, 7},   {7, 8},   {6, 9},
                         {5, 15}, {5, 16}, {5, 17}, {3, 33}, {67, 10}, {2, 511}, {3, 512}, {3, 700}, {0, 5}};

template <class T>
void run_activation(const ActivationKernels<T>& f, Report& report) {
  const auto run = [&](Index rows, Index cols, const std::vector<T>& s, const std::vector<double>& h) {
    const Index n = rows * cols;
    const std::vector<T> v = mixture<T>(n, 77 + static_cast<std::uint64_t>(n));
    const auto line = [&](const char* what) -> Line& {
      return report.line<T>(f.name + std::string(".") + what);
    };
    const auto map = [&](const char* what, auto kernel) {
      if (kernel == nullptr) return;
      Output<T> out(n);
      kernel(s.data(), out.data(), rows, cols, h.data());
      line(what).add(out.all());
    };
    const auto product = [&](const char* what, auto kernel) {
      Output<T> out(n);
      kernel(s.data(), v.data(), out.data(), rows, cols, h.data());
      line(what).add(out.all());
    };
    map("value", f.value);
    map("derivative", f.derivative);
    map("second_derivative", f.second_derivative);
    map("third_derivative", f.third_derivative);
    product("jvp", f.jvp);
    product("vjp", f.vjp);
    const std::vector<T> w = uniform<T>(n, 78 + static_cast<std::uint64_t>(n), 4.0);
    const auto curvature = [&](const char* what, auto kernel) {
      if (kernel == nullptr) return;
      for (const std::vector<T>* first : {&v, &w}) {
        Output<T> out(n);
        kernel(s.data(), first->data(), w.data(), out.data(), rows, cols, h.data());
        line(what).add(out.all());
      }
    };
    curvature("second_jvp", f.second_jvp);
    curvature("second_vjp", f.second_vjp);
    std::vector<T> a(at(n));
    f.value(s.data(), a.data(), rows, cols, h.data());
    for (const auto from_output : f.from_output) {
      if (from_output == nullptr) continue;
      Output<T> out(n);
      from_output(a.data(), out.data(), rows, cols, h.data());
      line("from_output").add(out.all());
    }
    Output<T> ds(n);
    f.backward(s.data(), a.data(), v.data(), ds.data(), rows, cols, h.data());
    line("backward").add(ds.all());
  };
  for (const std::vector<double>& h : parameter_sets(f.parameters)) {
    if (f.by_rows) {
      for (const auto& [rows, cols] : kShapes) {
        run(rows, cols, rows_with_specials<T>(rows, cols, static_cast<std::uint64_t>(cols)), h);
      }
    } else {
      for (const Index n : lengths()) run(1, n, mixture<T>(n, static_cast<std::uint64_t>(n)), h);
    }
  }
}

template <class T>
void run_loss(const LossKernels<T>& loss, Report& report) {
  Line& line = report.line<T>(loss.name + std::string(".evaluate"));
  Line& products = report.line<T>(loss.name + std::string(".curvature"));
  const auto run = [&](Index rows, Index cols, const std::vector<T>& p, const T* y,
                       const std::int64_t* labels, const std::vector<double>& h) {
    std::vector<double> factor = uniform<double>(rows, 5, 2.0);
    for (std::size_t i = 4; i < factor.size(); i += 6) factor[i] = 0;
    Output<double> cost(rows), cost_alone(rows);
    Output<T> gradient(rows * cols), in_place(p);
    loss.evaluate(p.data(), y, labels, rows, cols, h.data(), factor.data(), cost.data(), gradient.data());
    loss.evaluate(p.data(), y, labels, rows, cols, h.data(), nullptr, cost_alone.data(), nullptr);
    loss.evaluate(in_place.data(), y, labels, rows, cols, h.data(), factor.data(), nullptr, in_place.data());
    line.add(cost.all());
    line.add(cost_alone.all());
    line.add(gradient.all());
    line.add(in_place.all());
    const std::vector<T> v = uniform<T>(rows * cols, 6, 4.0);
    Output<T> product(rows * cols), over_v(v);
    loss.curvature(p.data(), y, labels, rows, cols, h.data(), factor.data(), v.data(), product.data());
    loss.curvature(p.data(), y, labels, rows, cols, h.data(), factor.data(), over_v.data(), over_v.data());
    products.add(product.all());
    products.add(over_v.all());
  };
  for (const std::vector<double>& h : parameter_sets(loss.parameters)) {
    for (const auto& [rows, cols] : kShapes) {
      const std::uint64_t seed = static_cast<std::uint64_t>(100 * cols + rows);
      const std::vector<T> y = probabilities<T>(rows * cols, seed + 1);
      std::vector<std::int64_t> labels;
      Random random(seed + 2);
      for (Index i = 0; i < rows; ++i) labels.push_back(static_cast<std::int64_t>(random.bits() % at(cols)));
      for (const std::vector<T>& p :
           {probabilities<T>(rows * cols, seed), rows_with_specials<T>(rows, cols, seed)}) {
        run(rows, cols, p, y.data(), nullptr, h);
        if (loss.takes_labels) run(rows, cols, p, nullptr, labels.data(), h);
      }
    }
  }
}

template <class T>
void run_optimizer(const OptimizerKernels<T>& optimizer, Report& report) {
  Line& line = report.line<T>(optimizer.name + std::string(".update"));
  for (const std::vector<double>& h : parameter_sets(optimizer.parameters)) {
    for (const Index n : lengths()) {
      Output<T> w(mixture<T>(n, 3));
      std::vector<Output<T>> states(kMaxStates, Output<T>(std::vector<T>(at(n), T(0))));
      T* pointers[kMaxStates];
      for (int i = 0; i < kMaxStates; ++i) pointers[i] = states[at(i)].data();
      for (const std::int64_t step : {1, 2, 3, 1000, 123456789}) {
        const std::vector<T> g = mixture<T>(n, static_cast<std::uint64_t>(step));
        optimizer.update(w.data(), g.data(), pointers, n, h.data(), step);
        line.add(w.all());
        for (const Output<T>& state : states) line.add(state.all());
      }
    }
  }
}

// c = start + a b as the layers use it: x w, x' ds and ds w', with room between the rows.
template <class T>
void run_gemm(const Kernels<T>& kernels, Report& report) {
  const AlignedBuffer<T> scratch(kernels.gemm_scratch);
  struct Product {
    Index m, n, k;
  };
  const Product products[] = {{1, 1, 1},      {1, 17, 5},     {5, 3, 0},      {6, 64, 7},     {7, 65, 9},
                              {13, 31, 33},   {65, 33, 70},   {2, 600, 11},   {100, 19, 300}, {67, 130, 257},
                              {97, 521, 263}, {3, 5, 1031},   {70, 90, 3},    {4, 75, 90},    {30, 150, 200},
                              {16, 530, 300}, {96, 300, 200}, {20, 140, 1100}};
  for (const Product& product : products) {
    const Index m = product.m, n = product.n, k = product.k;
    const auto seed = static_cast<std::uint64_t>(m * 1000003 + n * 1009 + k);
    std::vector<T> a = uniform<T>(m * (k + 3) + k * (m + 3), seed, 4.0),
                   b = uniform<T>(k * (n + 3) + n * (k + 3), seed + 1, 1.0);
    const std::vector<T> bias = uniform<T>(std::max(m, n), seed + 2, 1.0),
                         before = uniform<T>(m * (n + 2), seed + 3, 1.0);
    if (m == 13) a[40] = std::numeric_limits<T>::infinity(), b[50] = std::numeric_limits<T>::quiet_NaN();
    if (m == 13) a[60] = T(0x1p-100), b[70] = T(0x1p-49);  // down to the subnormals of float
    const Matrix<const T> a_rows = {a.data(), m, k, k + 3, 1}, b_rows = {b.data(), k, n, n + 3, 1};
    const Matrix<const T> a_cols = {a.data(), m, k, 1, m + 3}, b_cols = {b.data(), k, n, 1, k + 3};
    const auto run = [&](const char* name, Matrix<const T> left, Matrix<const T> right) {
      for (const Start start : {Start::zero, Start::bias, Start::bias_of_rows, Start::accumulate}) {
        const bool has_bias = start == Start::bias || start == Start::bias_of_rows;
        Output<T> c(before);
        kernels.gemm(left, right, {c.data(), m, n, n + 2, 1}, start, has_bias ? bias.data() : nullptr,
                     scratch.data());
        report.line<T>(name).add(c.all());
      }
    };
    run("gemm.forward", a_rows, b_rows);
    if (n > 128 && k > 128) {  // packed by every ISA
      const AlignedBuffer<T> packed(kernels.packed_size(k, n));
      kernels.pack(b_rows, packed.data());
      for (const Start start : {Start::zero, Start::bias, Start::accumulate}) {
        Output<T> c(before);
        kernels.gemm_packed(a_rows, packed.data(), {c.data(), m, n, n + 2, 1}, start,
                            start == Start::bias ? bias.data() : nullptr);
        report.line<T>("gemm.packed").add(c.all());
      }
    }
    run("gemm.dx", a_rows, b_cols);
    run("gemm.dw", a_cols, b_rows);
    run("gemm.both_transposed", a_cols, b_cols);
  }
}

// Turned values: sums over the lanes, and the way there and back.
template <class T>
void run_lanes(const Kernels<T>& kernels, Report& report) {
  struct Layer {
    Index inputs, outputs, rows;
  };
  const Layer layers[] = {{1, 1, 1},  {3, 2, 16},    {4, 4, 33}, {2, 3, 64},
                          {7, 5, 70}, {20, 13, 135}, {9, 1, 48}, {2, 3, 0}};
  for (const auto& [D, L, n] : layers) {
    const Index stride = n + 5;
    const auto seed = static_cast<std::uint64_t>(D * 1009 + L * 31 + n);
    const std::vector<T> x = uniform<T>(D * stride, seed, 4.0), ds = uniform<T>(L * stride, seed + 1, 1.0),
                         before = uniform<T>(D * (L + 2), seed + 2, 1.0);
    for (const Start start : {Start::zero, Start::accumulate}) {
      Output<T> dw(before), db(uniform<T>(L, seed + 3, 1.0));
      kernels.sum_over_lanes({x.data(), D, n, stride, 1}, {ds.data(), L, n, stride, 1},
                             {dw.data(), D, L, L + 2, 1}, db.data(), start);
      report.line<T>("sum_over_lanes").add(dw.all());
      report.line<T>("sum_over_lanes").add(db.all());
    }
    Output<T> turned(std::vector<T>(at(D * stride)));
    kernels.transpose({x.data(), n, D, D, 1}, turned.data(), stride);
    report.line<T>("transpose").add(turned.all());
    for (const Index apart : {n, stride}) {  // back
      Output<T> rows(std::vector<T>(at(n * D)));
      kernels.transpose({x.data(), D, n, apart, 1}, rows.data(), D);
      report.line<T>("transpose").add(rows.all());
    }
  }
}

// Masks of rows as they come and turned; both draw the same.
template <class T>
void run_dropout(const Kernels<T>& kernels, Report& report) {
  const DropoutMask mask = {{0x13198a2e, 0x03707344}, 0xb0000000, 1.5};
  for (const auto& [rows, cols] : kShapes) {
    const Index stride = rows + 3;
    const std::vector<T> x = uniform<T>(stride * cols, 21, 4.0);
    Output<T> by_row(rows * cols), turned(stride * cols);
    kernels.dropout(x.data(), by_row.data(), 5, rows, cols, 0, mask);
    kernels.dropout(x.data(), turned.data(), 5, rows, cols, stride, mask);
    report.line<T>("dropout").add(by_row.all());
    report.line<T>("dropout").add(turned.all());
  }
}

template <class T>
void run_rows(const Kernels<T>& kernels, Report& report) {
  for (const auto& [rows, cols] : kShapes) {
    const std::vector<T> m = uniform<T>(rows * (cols + 2), 11, 4.0), special = mixture<T>(rows * cols, 12);
    Output<T> sums(uniform<T>(cols, 13, 1.0)), sum(uniform<T>(rows * cols, 14, 1.0));
    kernels.add_column_sums({m.data(), rows, cols, cols + 2, 1}, sums.data());
    report.line<T>("add_column_sums").add(sums.all());
    kernels.add(special.data(), sum.data(), rows * cols);
    report.line<T>("add").add(sum.all());
    Output<T> product(rows * cols), products(uniform<T>(rows * cols, 16, 1.0)), outer(rows * cols);
    kernels.multiply(special.data(), m.data(), product.data(), rows * cols);
    kernels.multiply_add(special.data(), m.data(), products.data(), rows * cols);
    for (const bool accumulate : {false, true}) {
      kernels.outer_product(m.data(), rows, special.data(), cols, outer.data(), accumulate);
      report.line<T>("outer_product").add(outer.all());
    }
    const std::vector<double> mean = uniform<double>(std::max(rows, cols), 17, 4.0),
                              factor = uniform<double>(std::max(rows, cols), 18, 2.0);
    for (const double* shift : {mean.data(), static_cast<const double*>(nullptr)}) {
      Output<T> scaled(rows * cols), turned(rows * cols);
      kernels.standardize(special.data(), {shift, factor.data()}, scaled.data(), rows, cols);
      kernels.standardize_turned(special.data(), {shift, factor.data()}, turned.data(), rows, cols);
      report.line<T>("standardize").add(scaled.all());
      report.line<T>("standardize_turned").add(turned.all());
    }
    report.line<T>("multiply").add(product.all());
    report.line<T>("multiply_add").add(products.all());
    const double squares = kernels.sum_of_squares(m.data(), 0.75, rows * cols);
    report.line<T>("sum_of_squares").add(std::vector<double>{squares});
    Output<T> scaled(special), clamped(special);
    kernels.scale(scaled.data(), 0.3, rows * cols);
    kernels.clamp(clamped.data(), T(0.7), rows * cols);
    report.line<T>("scale").add(scaled.all());
    report.line<T>("clamp").add(clamped.all());
    for (const double beta : {1.0, 0.3, 40.0}) {
      Output<T> everyday(rows), any(rows);
      kernels.logsumexp(rows_with_specials<T>(rows, cols, 15).data(), everyday.data(), rows, cols, beta);
      kernels.logsumexp(special.data(), any.data(), rows, cols, beta);
      report.line<T>("logsumexp").add(everyday.all());
      report.line<T>("logsumexp").add(any.all());
    }
  }
}

template <class T>
void run_all(const Kernels<T>& kernels, Report& report) {
  for (Index i = 0; i < kernels.activation_count; ++i) run_activation(kernels.activations[i], report);
  for (Index i = 0; i < kernels.loss_count; ++i) run_loss(kernels.losses[i], report);
  for (Index i = 0; i < kernels.optimizer_count; ++i) run_optimizer(kernels.optimizers[i], report);
  run_gemm(kernels, report);
  run_lanes(kernels, report);
  run_dropout(kernels, report);
  run_rows(kernels, report);
}

int run(const std::vector<std::string>& names, const std::string& shown) {
  std::vector<Report> reports;
  for (const std::string& name : names) {
    const auto& all = isas();
    const auto isa = std::find_if(all.begin(), all.end(), [&](const Isa& i) { return i.name == name; });
    if (isa == all.end() || !isa->supported) {
      std::fprintf(stderr, "bits: this build or machine has no %s\n", name.c_str());
      return 2;
    }
    reports.emplace_back(shown);
    run_all(isa->kernels<float>(), reports.back());
    run_all(isa->kernels<double>(), reports.back());
  }
  if (!shown.empty()) return 0;
  int status = 0;
  for (std::size_t i = 0; i < reports.front().names.size(); ++i) {
    std::printf("%-38s", reports.front().names[i].c_str());
    const bool same = std::all_of(reports.begin(), reports.end(),
                                  [&](const Report& r) { return r.hash(i) == reports.front().hash(i); });
    if (!same) status = 1;
    for (std::size_t r = 0; r < (same ? 1 : reports.size()); ++r) {
      std::printf(" %016llx", static_cast<unsigned long long>(reports[r].hash(i)));
    }
    std::printf("%s\n", same ? "" : "  DIFFER");
  }
  return status;
}

}  // namespace
}  // namespace mlpkern

int main(int argc, char** argv) {
  std::vector<std::string> names;
  std::string shown;
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '+') {
      shown = argv[i] + 1;
    } else {
      names.emplace_back(argv[i]);
    }
  }
  if (names.empty()) {
    for (const mlpkern::Isa& isa : mlpkern::isas()) {
      if (isa.supported) std::printf("%s\n", isa.name);
    }
    return 0;
  }
  return mlpkern::run(names, shown);
}
