// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/arrays.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  using namespace mlpkern::bindings;
  m.doc() = "The kernels of mlpkern, bound to NumPy. Use them through the package mlpkern.";
  m.attr("__version__") = MLPKERN_VERSION;
  m.def(
      "as_array",
      [](const std::string& who, const char* name, const py::object& value) {
        return argument(who, name, value).array;
      },
      py::arg("who"), py::arg("name"), py::arg("value"));
  bind_machine(m);
  bind_linear(m);
  bind_activations(m);
  bind_losses(m);
  bind_optimizers(m);
  bind_derivatives(m);
  bind_networks(m);
}
