// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "format/layout.h"
#include "format/limits.h"
#include "qstore/archive.h"

namespace qstore {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;

// Says that its index is large, and breaks off while that is read.
class ClaimingSource final : public ByteSource {
 public:
  ClaimingSource(uint64_t stored, uint64_t given, bool throws) : given_(given), throws_(throws) {
    format::Header header;
    header.EncodeTo(&header_);
    format::Footer footer;
    footer.index_offset = header_.size();
    footer.index_stored_size = stored;
    footer.index_raw_size = 1000;
    footer.archive_size = header_.size() + stored + format::Footer::kEncodedSize;
    footer.EncodeTo(&footer_);
    size_ = footer.archive_size;
  }
  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset == 0) {
      std::copy_n(header_.begin(), out.size(), out.begin());
      return {};
    }
    if (offset + out.size() == size_) {
      std::copy(footer_.begin(), footer_.end(), out.end() - static_cast<ptrdiff_t>(footer_.size()));
      return {};
    }
    largest = std::max<uint64_t>(largest, out.size());
    if (out.size() > given_ - std::min(given_, sent)) {
      if (throws_) throw std::bad_alloc();
      return IoError("the line is dead");
    }
    sent += out.size();
    std::memset(out.data(), 1, out.size());
    return {};
  }

  mutable uint64_t sent = 0;
  mutable uint64_t largest = 0;

 private:
  std::vector<std::byte> header_;
  std::vector<std::byte> footer_;
  uint64_t size_ = 0;
  uint64_t given_;
  bool throws_;
};

uint64_t PeakBytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

TEST(Open, ReadsOfAnIndexGrowWithWhatHasCome) {
  for (const unsigned read_ahead : {0u, 4u}) {
    for (const bool throws : {false, true}) {
      OpenOptions options;
      options.read_ahead = read_ahead;
      const auto source = std::make_shared<ClaimingSource>(250 * kMib, 5 * kMib, throws);
      const uint64_t before = PeakBytes();
      const Status status = Archive::Open(source, "far", options).status();
      EXPECT_EQ(status.code(), throws ? ErrorCode::kLimit : ErrorCode::kIo) << status.ToString();
      EXPECT_GE(source->sent, 2 * kMib);
      EXPECT_LE(source->largest, source->sent + kMib);
      EXPECT_LE(PeakBytes() - before, 32 * kMib);
    }
  }
}

TEST(Open, IndexesBeyondMemoryAreRefusedBeforeTheyAreRead) {
  for (const uint64_t memory : {0u, 1u, 249u}) {
    OpenOptions options;
    options.max_memory = memory * kMib;
    const auto source = std::make_shared<ClaimingSource>(250 * kMib, UINT64_MAX, false);
    const Status status = Archive::Open(source, "far", options).status();
    EXPECT_EQ(status.code(), ErrorCode::kLimit);
    EXPECT_NE(status.message().find("max_memory"), std::string::npos) << status.message();
    EXPECT_EQ(source->sent, 0u);
  }
  const auto source =
      std::make_shared<ClaimingSource>(format::kMaxStoredIndexBytes + 1, UINT64_MAX, false);
  OpenOptions options;
  options.max_memory = UINT64_MAX;
  EXPECT_EQ(Archive::Open(source, "far", options).status().code(), ErrorCode::kLimit);
  EXPECT_EQ(source->sent, 0u);
}

}  // namespace
}  // namespace qstore
