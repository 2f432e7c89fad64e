// SPDX-License-Identifier: Apache-2.0
#include "make/old_weights.h"

#include <algorithm>
#include <set>

#include "io/posix_error.h"
#include "io/safetensors_index.h"

namespace qstore::make {

namespace fs = std::filesystem;

Status RemoveOldWeights(const fs::path& directory, const std::vector<std::string>& written,
                        io::OutputTree* tree) {
  std::set<std::string> folders;  // With a '/' behind, or empty.
  std::set<std::string> sets;     // Of weights, with their folders.
  for (const std::string& path : written) {
    const size_t name = path.rfind('/') + 1;
    const std::string folder = path.substr(0, name);
    const std::string set = io::WeightSetOf(path.substr(name));
    if (set.empty() || io::IsSafetensorsIndexName(path.substr(name))) continue;
    folders.insert(folder);
    sets.insert(folder + set);
  }
  for (const std::string& folder : folders) {
    const auto names = io::ListDirectory(directory / folder);
    if (!names.ok()) {
      if (names.status().code() == ErrorCode::kNotFound) continue;
      return names.status();
    }
    for (const std::string& name : *names) {
      const std::string set = io::WeightSetOf(name);
      if (set.empty() || sets.count(folder + set) == 0) continue;
      const std::string path = folder + name;
      if (std::find(written.begin(), written.end(), path) == written.end()) tree->Remove(path);
    }
  }
  return {};
}

}  // namespace qstore::make
