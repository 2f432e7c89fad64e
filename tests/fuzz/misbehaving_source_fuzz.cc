// SPDX-License-Identifier: Apache-2.0
// A source that fails, leaves reads unfinished, or has other content from one read to the next:
// every call ends in a status, and what is handed out as good is what the archive holds. The input
// is the number of faults, for each the read from which on it shows, how often, its kind and a
// place, how the archive is opened, and an archive as in archive_input.h.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/archive_input.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "qstore/archive.h"
#include "qstore/read_queue.h"
#include "qstore/verify.h"

namespace {

using qstore::Archive;
using qstore::Status;
using Bytes = std::vector<std::byte>;

enum Kind : uint8_t { kError, kUnfinished, kDamaged, kShifted, kZeros, kKinds };

struct Fault {
  uint8_t first = 0;  // The number of the first read that has it.
  uint8_t count = 0;  // How many have it.
  uint8_t kind = 0;
  uint32_t place = 0;  // In what is read.
};

class Source final : public qstore::ByteSource {
 public:
  Source(Bytes bytes, std::vector<Fault> faults)
      : bytes_(std::move(bytes)), faults_(std::move(faults)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    FUZZ_CHECK(offset <= bytes_.size() && out.size() <= bytes_.size() - offset && !out.empty());
    const unsigned read = reads_++;
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    for (const Fault& fault : faults_) {
      if (read < fault.first || read - fault.first >= fault.count) continue;
      if (fault.kind == kError) return qstore::IoError("this read fails");
      Apply(fault, out);
    }
    return {};
  }
  Status CheckUnchanged() const override {
    if (faults_.empty() || faults_[0].place % 2 == 0) return {};
    return {qstore::ErrorCode::kSourceChanged, "the source is another one now"};
  }

 private:
  static void Apply(const Fault& fault, std::span<std::byte> out) {
    const size_t at = fault.place % out.size();
    if (fault.kind == kUnfinished) {
      std::fill(out.begin() + static_cast<ptrdiff_t>(at), out.end(), std::byte{0xa5});
    } else if (fault.kind == kDamaged) {
      out[at] ^= static_cast<std::byte>(1 << (fault.place >> 16) % 8);
    } else if (fault.kind == kShifted) {
      std::rotate(out.begin(), out.begin() + static_cast<ptrdiff_t>(at), out.end());
    } else {
      std::fill(out.begin(), out.end(), std::byte{0});
    }
  }

  const Bytes bytes_;
  const std::vector<Fault> faults_;
  mutable std::atomic<unsigned> reads_{0};
};

// What the archive holds, as a source that behaves has it; nothing when it is not intact.
std::optional<std::vector<Bytes>> Truth(const Bytes& bytes) {
  const auto source = std::make_shared<const Source>(bytes, std::vector<Fault>());
  const auto archive = Archive::Open(source, "good");
  if (!archive.ok() || qstore::fuzz::ContentOf(*archive) > qstore::fuzz::kMaxContent) return {};
  qstore::VerifyOptions options;
  options.threads = 1;
  if (!Verify(*archive, {}, options).ok()) return {};
  std::vector<Bytes> contents;
  for (size_t v = 0; v < archive->variant_count(); ++v) {
    const auto variant = archive->variant(v);
    for (size_t t = 0; t < variant.tensor_count; ++t) {
      const size_t tensor = variant.first_tensor + t;
      contents.emplace_back(archive->tensor(tensor).byte_size);
      FUZZ_CHECK(archive->ReadTensor(tensor, contents.back(), 1).ok());
    }
  }
  return contents;
}

void CheckStatus(const Status& status) {
  FUZZ_CHECK(status.ok() || !status.message().empty());
  FUZZ_CHECK(status.code() != qstore::ErrorCode::kInternal);
}

void CheckReads(const Archive& archive, const std::vector<Bytes>& truth, unsigned threads) {
  std::vector<size_t> variants;
  for (size_t v = 0; v < archive.variant_count(); ++v) variants.push_back(v);
  const auto loaded = archive.Load(variants, threads);
  CheckStatus(loaded.status());
  for (size_t i = 0; loaded.ok() && i < loaded->size(); ++i) {
    FUZZ_CHECK(std::ranges::equal(loaded->content(i), truth[loaded->tensor(i)]));
  }
  qstore::ReadQueue queue(archive, threads);
  std::vector<std::pair<uint64_t, Bytes>> begun;
  for (size_t t = 0; t < truth.size(); ++t) {
    Bytes buffer(truth[t].size());
    const auto number = queue.Begin({t, buffer});
    FUZZ_CHECK(number.ok());
    begun.emplace_back(*number, std::move(buffer));
  }
  for (size_t t = 0; t < truth.size(); ++t) {
    const Status status = queue.Finish(begun[t].first);
    CheckStatus(status);
    FUZZ_CHECK(!status.ok() || begun[t].second == truth[t]);
  }
  qstore::VerifyOptions options;
  options.threads = threads;
  CheckStatus(Verify(archive, {}, options).status());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qstore::fuzz::FuzzInput in(std::as_bytes(std::span(data, size)));
  std::vector<Fault> faults(in.Number<uint8_t>() % 4);
  for (Fault& fault : faults) {
    fault.first = in.Number<uint8_t>();
    fault.count = in.Number<uint8_t>();
    fault.kind = static_cast<uint8_t>(in.Number<uint8_t>() % kKinds);
    fault.place = in.Number<uint32_t>();
  }
  qstore::OpenOptions options;
  const auto way = in.Number<uint8_t>();
  options.read_ahead = way % 3;
  options.read_size = way % 2 == 0 ? uint64_t{4} << 20 : 512;
  const Bytes bytes = qstore::fuzz::ArchiveOf(in.Rest());
  const qstore::fuzz::MemoryGrowth growth;
  const auto truth = Truth(bytes);
  if (!truth) return 0;
  const auto source = std::make_shared<const Source>(bytes, faults);
  const auto archive = Archive::Open(source, "bad", options);
  CheckStatus(archive.status());
  if (archive.ok()) CheckReads(*archive, *truth, 1 + way / 6 % 3);
  growth.Check();
  return 0;
}
