// SPDX-License-Identifier: Apache-2.0
// What `./dev bench-python` calls in the process that it also loads in by Python.

#include <memory>
#include <utility>

#include "qstore/archive.h"
#include "qstore/loaded_tensors.h"

using qstore::Archive;
using qstore::LoadedTensors;

namespace {

LoadedTensors* Load(const char* path, const char* variant) {
  const auto archive = Archive::Open(path);
  if (!archive.ok()) return nullptr;
  const auto number = archive->FindVariant(variant);
  if (!number.ok()) return nullptr;
  auto loaded = archive->Load({&*number, 1}, 0, {});
  return loaded.ok() ? std::make_unique<LoadedTensors>(std::move(*loaded)).release() : nullptr;
}

}  // namespace

extern "C" {

/// All tensors of a variant, opening of the archive included; null when that fails.
__attribute__((visibility("default"))) void* qstore_bench_load(const char* path,
                                                               const char* variant) {
  return Load(path, variant);
}

__attribute__((visibility("default"))) void qstore_bench_free(void* loaded) {
  delete static_cast<LoadedTensors*>(loaded);
}

}  // extern "C"
