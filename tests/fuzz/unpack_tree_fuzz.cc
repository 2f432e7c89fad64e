// SPDX-License-Identifier: Apache-2.0
// Whatever an archive says, unpacking it either writes the files that it lists, with their digests,
// or leaves nothing; and never anything beside them. Inputs are those of archive_input.h.
#include <algorithm>
#include <span>
#include <string>

#include "base/hash.h"
#include "fuzz/archive_input.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "fuzz/scratch_tree.h"
#include "qstore/archive.h"
#include "qstore/unpack.h"

namespace {

using qstore::Archive;
using qstore::UnpackOptions;

UnpackOptions Options() {
  UnpackOptions options;
  options.threads = 1;
  options.sync = false;
  return options;
}

void UnpackWhole(const Archive& archive, size_t v, const qstore::fuzz::ScratchTree& tree) {
  const auto variant = archive.variant(v);
  const auto report = Unpack(archive, variant.name, tree / "out", Options());
  const auto files = tree.Files();
  if (!report.ok()) {
    FUZZ_CHECK(!report.status().message().empty() && files.empty());
    FUZZ_CHECK(!std::filesystem::exists(tree / "out"));
    return;
  }
  FUZZ_CHECK(files.size() == variant.file_count);
  for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
    const auto info = archive.file(f);
    const auto found = files.find("out/" + std::string(info.path));
    FUZZ_CHECK(found != files.end() && found->second.size() == info.size);
    qstore::base::Hasher128 hasher;
    hasher.Update(std::as_bytes(std::span(found->second)));
    FUZZ_CHECK(hasher.Finish() == info.digest);
  }
}

// One file, or nothing.
void UnpackTensors(const Archive& archive, size_t v, const qstore::fuzz::ScratchTree& tree) {
  UnpackOptions options = Options();
  options.tensors = "*";
  const auto report = Unpack(archive, archive.variant(v).name, tree / "out", options);
  const auto files = tree.Files();
  FUZZ_CHECK(report.ok() || !report.status().message().empty());
  FUZZ_CHECK(files.size() == (report.ok() ? 1 : 0));
  FUZZ_CHECK(!report.ok() || files.begin()->first == "out/model.safetensors");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const qstore::fuzz::MemoryFile file;
  static const qstore::fuzz::ScratchTree tree;
  file.Hold(qstore::fuzz::ArchiveOf(std::as_bytes(std::span(data, size))));
  const qstore::fuzz::MemoryGrowth growth;
  const auto archive = Archive::Open(file.path());
  if (!archive.ok() || qstore::fuzz::ContentOf(*archive) > qstore::fuzz::kMaxContent) return 0;
  for (size_t v = 0; v < archive->variant_count(); ++v) {
    UnpackWhole(*archive, v, tree);
    tree.Clear();
    UnpackTensors(*archive, v, tree);
    tree.Clear();
  }
  growth.Check();
  return 0;
}
