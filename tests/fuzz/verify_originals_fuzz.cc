// SPDX-License-Identifier: Apache-2.0
// An archive that is intact is found equal to what it unpacks to, and different from anything else;
// one that is not is found so whatever it is compared with. The input is what is done to the
// originals (its kind, a place and a value), then an archive as in archive_input.h.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fuzz/archive_input.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "fuzz/scratch_tree.h"
#include "qstore/archive.h"
#include "qstore/verify.h"

namespace {

using qstore::Archive;
using qstore::ErrorCode;
using qstore::VariantSource;

enum Change : uint8_t { kNone, kByte, kShorter, kLonger, kMissing, kAdded, kChanges };

struct Edit {
  uint8_t change;
  uint32_t place;
  uint8_t value;
};

// Writes a variant's files, one of them changed. Returns whether they differ from the archive's;
// nothing when they cannot be read or written.
std::optional<bool> WriteOriginals(const Archive& archive, size_t v, const Edit& edit,
                                   const qstore::fuzz::ScratchTree& tree) {
  const auto variant = archive.variant(v);
  if (variant.file_count == 0) return std::nullopt;
  const size_t changed = variant.first_file + edit.place % variant.file_count;
  bool differs = false;
  for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
    const auto info = archive.file(f);
    std::string content(info.size, '\0');
    const auto bytes = std::as_writable_bytes(std::span(content));
    if (!archive.ReadFile(f, 0, bytes, 1).ok()) return std::nullopt;
    const uint8_t change = f == changed ? edit.change : uint8_t{kNone};
    if (change == kMissing) differs = true;
    if (change == kMissing) continue;
    const auto value = static_cast<char>(edit.value);
    if (change == kByte && !content.empty()) {
      char& byte = content[edit.place % content.size()];
      differs = byte != value;
      byte = value;
    } else if (change == kShorter && !content.empty()) {
      content.pop_back();
      differs = true;
    } else if (change == kLonger) {
      content.push_back(value);
      differs = true;
    }
    const auto path = "v/" + std::string(info.path);
    tree.Write(path, content);
    if (!std::filesystem::is_regular_file(tree / path)) return std::nullopt;  // A name too long.
  }
  if (edit.change == kAdded) {
    const std::string added = "v/\xff" + std::to_string(edit.value);
    differs = !std::filesystem::exists(tree / added);
    tree.Write(added, "added");
  }
  return differs;
}

void Compare(const Archive& archive, size_t v, bool is_intact, bool differs,
             const qstore::fuzz::ScratchTree& tree) {
  const VariantSource original{std::string(archive.variant(v).name), tree / "v"};
  qstore::VerifyOptions options;
  options.threads = 1;
  const auto report = Verify(archive, {&original, 1}, options);
  FUZZ_CHECK(report.ok() == (is_intact && !differs));
  if (report.ok()) {
    FUZZ_CHECK(report->compared_bytes == archive.variant(v).source_bytes);
    return;
  }
  FUZZ_CHECK(!report.status().message().empty());
  // Of a model without files there is nothing to compare with.
  const ErrorCode code = report.status().code();
  FUZZ_CHECK(!is_intact || code == ErrorCode::kMismatch || !std::filesystem::exists(tree / "v") ||
             (code == ErrorCode::kInvalidArgument && std::filesystem::is_empty(tree / "v")));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const qstore::fuzz::MemoryFile file;
  static const qstore::fuzz::ScratchTree tree;
  qstore::fuzz::FuzzInput in(std::as_bytes(std::span(data, size)));
  const Edit edit{static_cast<uint8_t>(in.Number<uint8_t>() % kChanges), in.Number<uint32_t>(),
                  in.Number<uint8_t>()};
  file.Hold(qstore::fuzz::ArchiveOf(in.Rest()));
  const qstore::fuzz::MemoryGrowth growth;
  const auto archive = Archive::Open(file.path());
  if (!archive.ok() || qstore::fuzz::ContentOf(*archive) > qstore::fuzz::kMaxContent) return 0;
  qstore::VerifyOptions options;
  options.threads = 1;
  const bool is_intact = Verify(*archive, {}, options).ok();
  for (size_t v = 0; v < archive->variant_count(); ++v) {
    const auto differs = WriteOriginals(*archive, v, edit, tree);
    if (differs) Compare(*archive, v, is_intact, *differs, tree);
    tree.Clear();
  }
  growth.Check();
  return 0;
}
