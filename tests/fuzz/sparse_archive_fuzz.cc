// SPDX-License-Identifier: Apache-2.0
// A file far larger than what is in it, whose footer fits: opening it, and reading it where it
// opens, takes memory by what it holds and not by what it claims. The input is where the hole is
// and how large (payloads, index), what the index is said to be decompressed, and an archive as in
// archive_input.h.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/archive_input.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "qstore/archive.h"
#include "qstore/verify.h"

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kMaxHole = uint64_t{1} << 40;

// Makes the footer tell of a hole in front of the index or in it. The checksum of an index with
// a hole is left as it is: to make it right would take reading the hole.
void Widen(Bytes* archive, bool in_index, uint64_t hole, uint64_t raw_size) {
  const auto footer = std::span(*archive).last(qstore::format::Footer::kEncodedSize);
  const auto add = [&](size_t field, uint64_t value) {
    qstore::base::StoreLe(&footer[field], qstore::base::LoadLe<uint64_t>(&footer[field]) + value);
  };
  add(in_index ? 8 : 0, hole);
  add(32, hole);
  if (raw_size != 0) qstore::base::StoreLe(&footer[16], raw_size);
  qstore::base::StoreLe(&footer[48], qstore::base::Hash64(footer.first(48)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const qstore::fuzz::MemoryFile file;
  qstore::fuzz::FuzzInput in(std::as_bytes(std::span(data, size)));
  const bool in_index = in.Number<uint8_t>() % 2 == 1;
  const uint64_t hole = in.Number<uint64_t>() % kMaxHole;
  const auto raw_size = in.Number<uint64_t>();
  Bytes archive = qstore::fuzz::ArchiveOf(in.Rest());
  const size_t index_offset = qstore::base::LoadLe<uint64_t>(
      std::span(archive).last(qstore::format::Footer::kEncodedSize).data());
  const size_t at = std::min(index_offset, archive.size());
  Widen(&archive, in_index, hole, raw_size);
  file.HoldWithHole(archive, at, hole);
  const qstore::fuzz::MemoryGrowth growth;
  const auto opened = qstore::Archive::Open(file.path());
  if (opened.ok()) {
    FUZZ_CHECK(opened->stored_bytes() == archive.size() + hole);
    if (qstore::fuzz::ContentOf(*opened) <= qstore::fuzz::kMaxContent) {
      qstore::VerifyOptions options;
      options.threads = 1;
      const auto report = Verify(*opened, {}, options);
      FUZZ_CHECK(report.ok() || !report.status().message().empty());
    }
  } else {
    FUZZ_CHECK(opened.status().message().find(file.path()) != std::string::npos);
  }
  growth.Check();
  return 0;
}
