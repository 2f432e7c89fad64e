// SPDX-License-Identifier: Apache-2.0
// Whatever an archive says, under checksums that are right: opening, inspecting, reading and
// verifying it end in a status, within bounded memory, and all ways of reading a tensor agree.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/archive_input.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "qstore/archive.h"
#include "qstore/file_reader.h"
#include "qstore/verify.h"

namespace {

using qstore::Archive;
using qstore::ReadRequest;
using qstore::fuzz::kMaxContent;
using Bytes = std::vector<std::byte>;

// Everything that is answered from the index alone. Returns the bytes of all files.
uint64_t Inspect(const Archive& archive) {
  uint64_t content = 0;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const auto variant = archive.variant(v);
    FUZZ_CHECK(*archive.FindVariant(variant.name) == v);
    const auto sizes = *archive.SizesOf(v);
    FUZZ_CHECK(sizes.own_bytes <= archive.stored_bytes());
    FUZZ_CHECK(sizes.load_bytes <= archive.stored_bytes());
    FUZZ_CHECK(sizes.tensor_bytes <= variant.source_bytes);
    FUZZ_CHECK(archive.CodingsOf(v)->size() == variant.tensor_count);
    for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
      content += std::min(archive.file(f).size, kMaxContent + 1);
    }
    for (size_t t = variant.first_tensor; t < variant.first_tensor + variant.tensor_count; ++t) {
      const auto tensor = archive.tensor(t);
      FUZZ_CHECK(tensor.file >= variant.first_file);
      FUZZ_CHECK(tensor.file < variant.first_file + variant.file_count);
      const auto found = archive.FindTensor(v, tensor.name);
      FUZZ_CHECK(found.ok() && archive.tensor(*found).name == tensor.name);
      FUZZ_CHECK(*archive.RowsByteSize(t, 0, qstore::kAllRows) == tensor.byte_size);
    }
  }
  return content;
}

// The rows behind the first, read alone.
void CheckRows(const Archive& archive, size_t tensor, const Bytes& content) {
  const auto size = archive.RowsByteSize(tensor, 1, qstore::kAllRows);
  if (!size.ok()) return;
  Bytes rows(*size);
  FUZZ_CHECK(archive.ReadRows(tensor, 1, qstore::kAllRows, rows, 1).ok());
  FUZZ_CHECK(rows.size() <= content.size());
  FUZZ_CHECK(
      std::equal(rows.begin(), rows.end(), content.end() - static_cast<ptrdiff_t>(rows.size())));
}

void Read(const Archive& archive) {
  std::vector<Bytes> contents;
  std::vector<ReadRequest> requests;
  std::vector<size_t> variants;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const auto variant = archive.variant(v);
    variants.push_back(v);
    for (size_t t = variant.first_tensor; t < variant.first_tensor + variant.tensor_count; ++t) {
      contents.emplace_back(archive.tensor(t).byte_size);
      requests.push_back({t, contents.back()});
    }
  }
  const auto status = archive.Read(requests, 1);
  FUZZ_CHECK(status.ok() || !status.message().empty());
  qstore::VerifyOptions options;
  options.threads = 1;
  const auto verified = Verify(archive, {}, options);
  FUZZ_CHECK(verified.ok() || !verified.status().message().empty());
  FUZZ_CHECK(status.ok() || !verified.ok());
  const auto loaded = archive.Load(variants, 1);
  FUZZ_CHECK(loaded.ok() == status.ok());
  bool each_ok = true;
  for (size_t i = 0; i < requests.size(); ++i) {
    Bytes alone(contents[i].size());
    const bool ok = archive.ReadTensor(requests[i].tensor, alone, 1).ok();
    each_ok = each_ok && ok;
    if (!status.ok()) continue;
    FUZZ_CHECK(ok && alone == contents[i]);
    FUZZ_CHECK(std::ranges::equal(loaded->content(i), contents[i]));
    CheckRows(archive, requests[i].tensor, contents[i]);
  }
  FUZZ_CHECK(each_ok == status.ok());
}

// Files read stretch by stretch have the bytes that they have otherwise.
void ReadStretches(const Archive& archive, size_t file, const qstore::FileReader& reader) {
  for (uint64_t at = 0, size = archive.file(file).size; at < size;) {
    const auto stretch = reader.StretchAt(file, at);
    FUZZ_CHECK(stretch.ok() && stretch->begin == at && stretch->end > at && stretch->end <= size);
    FUZZ_CHECK(stretch->end - at <= reader.most_stretch_bytes());
    Bytes content(stretch->end - at);
    Bytes expected(content.size());
    const auto status = reader.Read(file, at, content);
    const auto other = archive.ReadFile(file, at, expected, 1);
    const bool fits =
        status.code() != qstore::ErrorCode::kLimit && other.code() != qstore::ErrorCode::kLimit;
    FUZZ_CHECK(!fits || status.ok() == other.ok());
    FUZZ_CHECK(!status.ok() || !other.ok() || content == expected);
    at = stretch->end;
  }
}

void ReadFiles(const Archive& archive) {
  const qstore::FileReader reader(archive);
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const auto variant = archive.variant(v);
    for (size_t f = 0; f < variant.file_count; ++f) {
      ReadStretches(archive, variant.first_file + f, reader);
    }
    for (size_t t = 0; t < variant.tensor_count; ++t) {
      const auto offset = reader.OffsetOf(variant.first_tensor + t);
      FUZZ_CHECK(offset.ok() || !offset.status().message().empty());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const qstore::fuzz::MemoryFile file;
  file.Hold(qstore::fuzz::ArchiveOf(std::as_bytes(std::span(data, size))));
  const qstore::fuzz::MemoryGrowth growth;
  const auto archive = Archive::Open(file.path());
  if (archive.ok()) {
    if (Inspect(*archive) <= kMaxContent) {
      Read(*archive);
      ReadFiles(*archive);
    }
  } else {
    FUZZ_CHECK(archive.status().message().find(file.path()) != std::string::npos);
  }
  growth.Check();
  return 0;
}
