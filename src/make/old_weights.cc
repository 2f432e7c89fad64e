// SPDX-License-Identifier: Apache-2.0
#include "make/old_weights.h"

#include <algorithm>
#include <set>
#include <system_error>

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
    std::error_code error;
    auto entry = io::ListDirectory(directory / folder, &error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      const std::string set = io::WeightSetOf(name);
      if (set.empty() || sets.count(folder + set) == 0) continue;
      const std::string path = folder + name;
      if (std::find(written.begin(), written.end(), path) == written.end()) tree->Remove(path);
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return IoError((directory / folder).string() + ": cannot list: " + error.message());
    }
  }
  return {};
}

}  // namespace qstore::make
