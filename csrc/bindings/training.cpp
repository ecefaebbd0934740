// SPDX-License-Identifier: BSD-3-Clause
// Networks: costs, gradients, steps and epochs.
#include <algorithm>
#include <cmath>

#include "bindings/networks.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

namespace {

// Whether the batch has no mean, since all its weights are 0: then there is no step.
bool weights_nothing(const LossObject& loss, const double* weight, const std::int64_t* order, Index first,
                     Index count) {
  if (weight == nullptr || loss.loss().reduction != Reduction::mean) return false;
  for (Index i = first; i < first + count; ++i) {
    if (weight[order == nullptr ? i : order[i]] != 0) return false;
  }
  return true;
}

}  // namespace

template <class T>
typename NetworkOf<T>::Samples NetworkOf<T>::read_samples(Who who, const LossObject& loss,
                                                          const py::object& x_, const py::object& y,
                                                          const py::object& weight, bool reduced) const {
  Samples samples;
  const Argument x = read_input(who, x_);
  loss.read_targets(who, with_last(shape_of(x.array), program().output_width()), y, weight, samples.targets);
  if (reduced) loss.check_mean(who, samples.targets);
  samples.x = contiguous<T>(x.array);
  return samples;
}

template <class T>
double NetworkOf<T>::value(const LossObject& loss, const py::object& x, const py::object& y,
                           const py::object& weight) const {
  const Samples samples = read_samples("value", loss, x, y, weight);
  const Index n = samples.targets.n;
  const Use use(usages_, false, "value");
  return compute(multiply_adds(n),
                 [&] { return network_.value(samples.x.data, samples.targets.targets(), n, loss.loss()); });
}

// (C, the gradient by all parameters)
template <class T>
py::tuple NetworkOf<T>::value_and_gradient(const LossObject& loss, const py::object& x, const py::object& y,
                                           const py::object& weight) {
  const Samples samples = read_samples("value_and_gradient", loss, x, y, weight);
  auto gradient = new_array<T>({program().parameters()});
  const Arrays<T> arrays = program().arrays_in(writable<T>(gradient));
  const Use use(usages_, true, "value_and_gradient");
  kept_shape_.clear();
  const Batch<T> batch = {samples.x.data, samples.targets.targets(), samples.targets.n, nullptr};
  const double cost = compute(3 * multiply_adds(batch.n),
                              [&] { return network_.value_and_gradient(batch, loss.loss(), arrays); });
  return py::make_tuple(cost, gradient);
}

template <class T>
void NetworkOf<T>::step(OptimizerObject& optimizer, double factor) {
  const Use use(usages_, true, "step");
  compute(optimizer.multiply_adds(), [&] { optimizer.template update<T>(factor); });
}

template <class T>
double NetworkOf<T>::train_step(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                                const py::object& y, const py::object& weight) {
  const Samples samples = read_samples("train_step", loss, x, y, weight);
  const Use use(usages_, true, "train_step");
  kept_shape_.clear();
  const Batch<T> batch = {samples.x.data, samples.targets.targets(), samples.targets.n, nullptr};
  return compute(3 * multiply_adds(batch.n) + optimizer.multiply_adds(), [&] {
    const double cost = network_.value_and_gradient(batch, loss.loss(), gradients_);
    optimizer.template update<T>();
    return cost;
  });
}

// Steps on batch_size samples at a time, in the given order or (None) as they come: at most `steps` of them
// (-1: to the end), from `position` on, which is what an earlier call on the epoch returned: the first row
// that is still to come, the sum of the costs (for a mean, each times its rows) and the rows in it. With them
// come the cost of the epoch so far, and whether all costs were finite: at one that is not, `stop` ends the
// call before its step is taken.
// factors: of the learning rate, one for each step of this call.
template <class T>
py::tuple NetworkOf<T>::train_epoch(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                                    const py::object& y, const py::object& weight, const py::object& order_,
                                    Index batch_size, const py::object& factors_, EpochPosition position,
                                    Index steps, bool stop) {
  const Samples samples = read_samples("fit", loss, x, y, weight);
  const Index n = samples.targets.n;
  const auto order =
      order_.is_none() ? Numbers<std::int64_t>() : contiguous<std::int64_t>(order_.cast<py::array>());
  const auto factors =
      factors_.is_none() ? Numbers<double>() : contiguous<double>(factors_.cast<py::array>());
  const Use use(usages_, true, "fit");
  kept_shape_.clear();
  const bool mean = loss.loss().reduction == Reduction::mean;
  epoch = position;
  Index &row = std::get<0>(epoch), &rows = std::get<2>(epoch);
  double& total = std::get<1>(epoch);
  const Index left = ceil_div(n - row, batch_size);
  steps = steps < 0 ? left : std::min(steps, left);
  const double work = 3 * multiply_adds(std::min(n - row, steps * batch_size)) +
                      static_cast<double>(steps) * optimizer.multiply_adds();
  bool finite = true;
  double reduced = 0;
  compute(work, [&] {
    InterruptTimer timer;
    for (Index step = 0; step < steps; ++step) {
      const Index count = std::min(batch_size, n - row);
      if (weights_nothing(loss, samples.targets.weight.data, order.data, row, count)) {
        row += count;
        continue;
      }
      Batch<T> batch = {samples.x.data, samples.targets.targets(), count, nullptr};
      if (order.data != nullptr) {
        batch.order = order.data + row;
      } else {
        batch.x += row * program().input_width();
        batch.targets = targets_from(batch.targets, row, program().output_width());
      }
      const double cost = network_.value_and_gradient(batch, loss.loss(), gradients_);
      finite = finite && std::isfinite(cost);
      if (stop && !finite) {
        network_.withdraw_pass();
        break;
      }
      optimizer.template update<T>(factors.data == nullptr ? 1.0 : factors.data[step]);
      row += count;
      rows += count;
      // A single batch's cost is the epoch's: cost n / n may differ from it in the last place.
      total += mean && count != n ? cost * static_cast<double>(count) : cost;
      timer.check();
    }
    reduced = mean && rows > 0 && batch_size < n ? total / static_cast<double>(rows) : total;
  });
  return py::make_tuple(row, total, rows, reduced, finite);
}

template class NetworkOf<float>;
template class NetworkOf<double>;

}  // namespace mlpkern::bindings
