// SPDX-License-Identifier: Apache-2.0
// The index of a model's shards: what is read of it is what is written of it again, and a model
// with such an index is listed with its own files or refused.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/scratch_tree.h"
#include "io/model_tree.h"
#include "io/safetensors_index.h"

namespace {

using qstore::io::SafetensorsIndex;

constexpr std::string_view kName = "model.safetensors.index.json";

// By name; of several with one name the last, as any reader of JSON has it.
std::vector<std::pair<std::string, std::string>> Sorted(const SafetensorsIndex& index) {
  auto map = index.weight_map;
  const auto by_name = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::stable_sort(map.begin(), map.end(), by_name);
  return map;
}

void CheckWrittenAgain(const SafetensorsIndex& index) {
  const std::string text = WriteSafetensorsIndex(index, 7);
  const auto again = qstore::io::ParseSafetensorsIndex(text);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->weight_map == Sorted(index));
}

void CheckListed(std::string_view text, const qstore::fuzz::ScratchTree& tree) {
  tree.Write(std::string("model/") + std::string(kName), text);
  const auto files = qstore::io::ListModelFiles(tree / "model");
  if (!files.ok()) {
    FUZZ_CHECK(files.status().message().find(kName) != std::string::npos);
    return;
  }
  // What the index names beyond is either there or an error: nothing of it is taken in.
  FUZZ_CHECK(files->size() == 3);
  for (const auto& file : *files) FUZZ_CHECK(std::filesystem::exists(tree / "model" / file.path));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const qstore::fuzz::ScratchTree tree;
  static const bool made = [] {
    tree.Write("outside.safetensors", "secret");
    for (const char* name : {"model/a.safetensors", "model/b.safetensors"}) tree.Write(name, name);
    return true;
  }();
  FUZZ_CHECK(made);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto index = qstore::io::ParseSafetensorsIndex(text);
  if (index.ok()) {
    CheckWrittenAgain(*index);
  } else {
    FUZZ_CHECK(!index.status().message().empty());
  }
  CheckListed(text, tree);
  // Names as they are found beside an index.
  const std::string set = qstore::io::WeightSetOf(text.substr(0, 200));
  FUZZ_CHECK(set.size() <= text.size());
  return 0;
}
