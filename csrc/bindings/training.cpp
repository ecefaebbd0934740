// SPDX-License-Identifier: BSD-3-Clause
// Networks: costs, gradients, steps and epochs.
#include <algorithm>

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
void NetworkOf<T>::step(OptimizerObject& optimizer) {
  const Use use(usages_, true, "step");
  compute(optimizer.multiply_adds(), [&] { optimizer.template update<T>(); });
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

// Steps on batch_size samples at a time, in the given order or (None) as they come.
template <class T>
double NetworkOf<T>::train_epoch(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                                 const py::object& y, const py::object& weight, const py::object& order_,
                                 Index batch_size) {
  const Samples samples = read_samples("fit", loss, x, y, weight);
  const Index n = samples.targets.n;
  const auto order =
      order_.is_none() ? Numbers<std::int64_t>() : contiguous<std::int64_t>(order_.cast<py::array>());
  const Use use(usages_, true, "fit");
  kept_shape_.clear();
  const bool mean = loss.loss().reduction == Reduction::mean;
  const double work = 3 * multiply_adds(n) + static_cast<double>(n / batch_size) * optimizer.multiply_adds();
  return compute(work, [&] {
    double total = 0;
    Index rows = 0;
    InterruptTimer timer;
    for (Index first = 0; first < n; first += batch_size) {
      const Index count = std::min(batch_size, n - first);
      if (weights_nothing(loss, samples.targets.weight.data, order.data, first, count)) continue;
      Batch<T> batch = {samples.x.data, samples.targets.targets(), count, nullptr};
      if (order.data != nullptr) {
        batch.order = order.data + first;
      } else {
        batch.x += first * program().input_width();
        batch.targets = targets_from(batch.targets, first, program().output_width());
      }
      const double cost = network_.value_and_gradient(batch, loss.loss(), gradients_);
      optimizer.template update<T>();
      if (count == n) return cost;  // cost n / n may differ from cost in the last place
      rows += count;
      total += mean ? cost * static_cast<double>(count) : cost;
      timer.check();
    }
    return mean && rows > 0 ? total / static_cast<double>(rows) : total;
  });
}

template class NetworkOf<float>;
template class NetworkOf<double>;

}  // namespace mlpkern::bindings
