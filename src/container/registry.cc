// SPDX-License-Identifier: Apache-2.0
#include "container/registry.h"

#include <utility>

#include "base/status_macros.h"
#include "container/safetensors/safetensors.h"

namespace qstore::container {
namespace {

std::span<const Container* const> Containers() {
  static const Container* const kContainers[] = {&Safetensors()};
  return kContainers;
}

}  // namespace

const Container* FindContainer(ContainerId id) {
  for (const Container* each : Containers()) {
    if (each->id() == id) return each;
  }
  return nullptr;
}

Result<Opened> OpenContainer(std::string_view path, const ByteSource& file) {
  for (const Container* each : Containers()) {
    if (!each->Claims(path)) continue;
    QSTORE_ASSIGN(std::optional<Layout> layout, each->Parse(file));
    if (layout) return Opened{each, std::move(*layout)};
  }
  return Opened{};
}

}  // namespace qstore::container
