// SPDX-License-Identifier: Apache-2.0
#include "container/registry.h"

#include <utility>

#include "container/gguf/gguf.h"
#include "container/imatrix/imatrix.h"
#include "container/safetensors/safetensors.h"

namespace qstore::container {
namespace {

std::span<const Container* const> Containers() {
  static const Container* const kContainers[] = {&Safetensors(), &Gguf(), &Imatrix()};
  return kContainers;
}

}  // namespace

const Container* FindContainer(ContainerId id) {
  for (const Container* each : Containers()) {
    if (each->id() == id) return each;
  }
  return nullptr;
}

const Container* FindClaimant(std::string_view path) {
  for (const Container* each : Containers()) {
    if (each->Claims(path)) return each;
  }
  return nullptr;
}

Result<Opened> OpenContainer(std::string_view path, const ByteSource& file) {
  Opened opened;
  for (const Container* each : Containers()) {
    if (!each->Claims(path)) continue;
    auto layout = each->Parse(file);
    if (layout.ok()) return Opened{each, std::move(*layout), {}};
    const ErrorCode code = layout.status().code();
    if (code != ErrorCode::kCorrupt && code != ErrorCode::kLimit) return layout.status();
    if (!each->IsToldByContent()) opened.refusal = layout.status();
  }
  return opened;
}

}  // namespace qstore::container
