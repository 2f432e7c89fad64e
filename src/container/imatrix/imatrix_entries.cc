// SPDX-License-Identifier: Apache-2.0
#include "container/imatrix/imatrix_entries.h"

#include <cstddef>
#include <span>
#include <string>
#include <unordered_set>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "io/safetensors.h"

namespace qstore::container {
namespace {

constexpr uint32_t kMostEntries = 65536;
constexpr uint32_t kMostBytesOfName = 4096;
constexpr uint32_t kMostValues = 0x7FFFFFFF;

class ImatrixReader {
 public:
  ImatrixReader(const ByteSource& bytes, ImatrixBytes which)
      : bytes_(bytes), has_contents_(which == ImatrixBytes::kAll) {}

  Status Run(const ImatrixVisitor& visit) {
    QSTORE_ASSIGN(const uint32_t entries, Number());
    if (entries == 0 || entries > kMostEntries) return Corrupt("has no entries, or too many");
    for (uint32_t i = 0; i < entries; ++i) QSTORE_TRY(Entry(visit));
    return End();
  }

 private:
  // Where it is in the file.
  uint64_t position() const { return at_ + left_out_; }
  bool at_end() const { return at_ == bytes_.size(); }

  Status Take(std::span<std::byte> out) {
    if (out.size() > bytes_.size() - at_) return Corrupt("reaches beyond the file");
    if (out.size() > kMaxImatrixHead - taken_) {
      return Corrupt("has more than 2^22 bytes beside calls and values");
    }
    QSTORE_TRY(bytes_.Read(at_, out));
    at_ += out.size();
    taken_ += out.size();
    return {};
  }
  Result<uint32_t> Number() {
    std::byte bytes[4];
    QSTORE_TRY(Take(bytes));
    return base::LoadLe<uint32_t>(bytes);
  }
  Status SkipContent(uint64_t size) {
    if (!has_contents_) {
      left_out_ += size;
      return {};
    }
    if (size > bytes_.size() - at_) return Corrupt("reaches beyond the file");
    at_ += size;
    return {};
  }

  Result<std::string> Name() {
    QSTORE_ASSIGN(const uint32_t size, Number());
    if (size == 0 || size > kMostBytesOfName) return Corrupt("a name is empty or too long");
    std::string name(size, '\0');
    QSTORE_TRY(Take(std::as_writable_bytes(std::span(name))));
    if (name.find('\0') != std::string::npos) return Corrupt("a name has a byte 0");
    return name;
  }

  Status Entry(const ImatrixVisitor& visit) {
    QSTORE_ASSIGN(const std::string name, Name());
    const auto within = [&](const Status& status) {
      return status.WithContext("entry " + io::QuotedName(name));
    };
    if (!names_.insert(name).second) return within(Corrupt("comes twice"));
    ImatrixEntry entry{name, position(), 0, 0};
    QSTORE_TRY(within(SkipContent(kImatrixCallsBytes)));
    const auto count = Number();
    if (!count.ok()) return within(count.status());
    if (*count == 0 || *count > kMostValues) return within(Corrupt("has no values, or too many"));
    entry.count = *count;
    entry.values = position();
    QSTORE_TRY(within(SkipContent(uint64_t{entry.count} * sizeof(float))));
    return visit(entry);
  }

  // The number of chunks, and the name of a text: files without one of them are older still.
  Status End() {
    if (at_end()) return {};
    QSTORE_TRY(Number().status());
    if (at_end()) return {};
    QSTORE_ASSIGN(const uint32_t size, Number());
    if (size != bytes_.size() - at_) return Corrupt("does not end with the name of a text");
    if (size > kMaxImatrixHead - taken_) return Corrupt("the name of the text is too long");
    return {};
  }

  const ByteSource& bytes_;
  const bool has_contents_;
  uint64_t at_ = 0;        // In the bytes.
  uint64_t left_out_ = 0;  // Of the file before.
  uint64_t taken_ = 0;     // Of what is neither calls nor values.
  std::unordered_set<std::string> names_;
};

}  // namespace

Status ReadImatrix(const ByteSource& bytes, ImatrixBytes which, const ImatrixVisitor& visit) {
  return ImatrixReader(bytes, which).Run(visit);
}

}  // namespace qstore::container
