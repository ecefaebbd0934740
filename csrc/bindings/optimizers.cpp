// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/optimizers.hpp"

#include <pybind11/stl.h>

namespace mlpkern::bindings {

void bind_optimizers(py::module_& m) {
  m.def("optimizer_specs", [] { return specs(metadata().optimizers, metadata().optimizer_count); });
  m.def(
      "optimizer_states",
      [](const std::string& name) {
        const auto& table = metadata();
        const auto& row =
            table.optimizers[find_row(table.optimizers, table.optimizer_count, name, "optimizer")];
        std::vector<std::string> names;
        for (const char* state : row.states) {
          if (state != nullptr) names.emplace_back(state);
        }
        return names;
      },
      py::arg("name"));
  py::class_<OptimizerObject>(m, "Optimizer")
      .def(py::init<const std::string&, const std::vector<OptimizerObject::GroupTuple>&, py::array, py::array,
                    const std::vector<py::object>&, Usages>(),
           py::arg("name"), py::arg("groups"), py::arg("w"), py::arg("g"), py::arg("states"),
           py::arg("usages"))
      .def("set_groups", &OptimizerObject::set_groups, py::arg("groups"))
      .def("set_clipping", &OptimizerObject::set_clipping, py::arg("norm"), py::arg("value"))
      .def_property_readonly("gradient_norm", &OptimizerObject::gradient_norm)
      .def_property("steps", &OptimizerObject::steps, &OptimizerObject::set_steps);
}

}  // namespace mlpkern::bindings
