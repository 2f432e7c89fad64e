// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/importance.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "make/gguf/values.h"
#include "qstore/gguf.h"

namespace qstore::make {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::string_view kDatasets = "imatrix.datasets";
constexpr std::string_view kChunkCount = "imatrix.chunk_count";
constexpr std::string_view kChunkSize = "imatrix.chunk_size";

Result<std::vector<float>> ReadFloats(const ByteSource& file, uint64_t begin, uint64_t count) {
  if (begin > file.size() || count > (file.size() - begin) / sizeof(float)) {
    return Corrupt("ends too early");
  }
  std::vector<float> floats(static_cast<size_t>(count));
  QSTORE_TRY(file.Read(begin, std::as_writable_bytes(std::span(floats))));
  return floats;
}

Result<std::vector<float>> ReadTensor(const ByteSource& file, const GgufItem& tensor) {
  if (tensor.dtype != DType::kF32)
    return Corrupt("tensor " + io::QuotedName(tensor.name) + ": is not F32");
  return ReadFloats(file, tensor.begin, tensor.byte_size / sizeof(float));
}

/// Sums of squares become means; what was never used counts as 1.
Status Normalize(std::span<const float> counts, std::vector<float>* sums) {
  if (counts.empty() || sums->size() % counts.size() != 0) {
    return Corrupt("the numbers of sums and counts do not fit");
  }
  const size_t columns = sums->size() / counts.size();
  for (size_t c = 0; c < counts.size(); ++c) {
    // A count is a whole number, but stored as a float.
    const float count = std::round(counts[c]);
    for (float& sum : std::span(*sums).subspan(c * columns, columns)) {
      sum = count > 0 ? sum / count : 1.0f;
    }
  }
  return {};
}

Status ReadMeta(const ByteSource& file, const GgufContents& contents, Importance* importance) {
  const GgufEntry* datasets = FindEntry(contents, kDatasets);
  const GgufEntry* chunk_count = FindEntry(contents, kChunkCount);
  if (datasets == nullptr || chunk_count == nullptr || FindEntry(contents, kChunkSize) == nullptr) {
    return Corrupt("has no keys " + std::string(kDatasets) + ", " + std::string(kChunkCount) +
                   " and " + std::string(kChunkSize));
  }
  QSTORE_ASSIGN(importance->dataset, FirstString(file, *datasets));
  QSTORE_ASSIGN(const auto chunks, WholeNumber(file, *chunk_count));
  importance->chunks = static_cast<uint32_t>(chunks.value_or(0));
  return {};
}

Status ReadGgufForm(const ByteSource& file, Importance* importance) {
  QSTORE_ASSIGN(const GgufContents contents, ReadGguf(file));
  QSTORE_TRY(ReadMeta(file, contents, importance));
  std::map<std::string_view, const GgufItem*> by_name;
  for (const GgufItem& tensor : contents.tensors) by_name.emplace(tensor.name, &tensor);
  for (const GgufItem& tensor : contents.tensors) {
    const bool is_sums = tensor.name.ends_with(kSums);
    if (!is_sums && !tensor.name.ends_with(kCounts)) continue;
    const std::string name =
        tensor.name.substr(0, tensor.name.size() - (is_sums ? kSums : kCounts).size());
    const auto counts = by_name.find(name + std::string(is_sums ? kCounts : kSums));
    if (counts == by_name.end()) {
      return Corrupt("has only one of sums and counts of " + io::QuotedName(name));
    }
    if (!is_sums) continue;
    QSTORE_ASSIGN(std::vector<float> sums, ReadTensor(file, tensor));
    QSTORE_ASSIGN(const std::vector<float> numbers, ReadTensor(file, *counts->second));
    QSTORE_TRY(Normalize(numbers, &sums).WithContext("entry " + io::QuotedName(name)));
    importance->columns[name] = std::move(sums);
  }
  return {};
}

/// The fields of a file of the older form.
class OldReader {
 public:
  explicit OldReader(const ByteSource& file) : file_(file) {}

  bool at_end() const { return at_ == file_.size(); }

  Result<int32_t> Number() {
    std::byte bytes[4];
    QSTORE_TRY(Take(bytes));
    return static_cast<int32_t>(base::LoadLe<uint32_t>(bytes));
  }
  Result<std::string> Text() {
    QSTORE_ASSIGN(const int32_t size, Number());
    if (size < 0 || static_cast<uint64_t>(size) > file_.size() - at_) return End();
    std::string text(static_cast<size_t>(size), '\0');
    QSTORE_TRY(Take(std::as_writable_bytes(std::span(text))));
    return text.substr(0, text.find('\0'));
  }
  Result<std::vector<float>> Floats(int32_t count) {
    if (count < 1) return Corrupt("an entry has no values");
    auto floats = ReadFloats(file_, at_, static_cast<uint64_t>(count));
    if (floats.ok()) at_ += floats->size() * sizeof(float);
    return floats;
  }

 private:
  Status End() const { return Corrupt("is neither a GGUF file nor an importance matrix"); }
  Status Take(std::span<std::byte> bytes) {
    if (bytes.size() > file_.size() - at_) return End();
    QSTORE_TRY(file_.Read(at_, bytes));
    at_ += bytes.size();
    return {};
  }

  const ByteSource& file_;
  uint64_t at_ = 0;
};

Status ReadOldForm(const ByteSource& file, Importance* importance) {
  OldReader reader(file);
  QSTORE_ASSIGN(const int32_t entries, reader.Number());
  for (int32_t i = 0; i < entries; ++i) {
    QSTORE_ASSIGN(const std::string name, reader.Text());
    QSTORE_ASSIGN(const int32_t calls, reader.Number());
    QSTORE_ASSIGN(const int32_t count, reader.Number());
    QSTORE_ASSIGN(std::vector<float> sums, reader.Floats(count));
    if (calls > 0) {
      for (float& sum : sums) sum /= static_cast<float>(calls);
    }
    importance->columns[name] = std::move(sums);
  }
  if (reader.at_end()) return {};
  QSTORE_ASSIGN(const int32_t chunks, reader.Number());
  importance->chunks = chunks > 0 ? static_cast<uint32_t>(chunks) : 0;
  if (reader.at_end()) return {};
  QSTORE_ASSIGN(std::string dataset, reader.Text());
  if (!dataset.empty()) importance->dataset = std::move(dataset);
  return {};
}

Status CheckValues(const Importance& importance) {
  if (importance.empty()) return InvalidArgument("has no entries");
  for (const auto& [name, values] : importance.columns) {
    if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
      continue;
    }
    return InvalidArgument("entry " + io::QuotedName(name) + ": holds infinity or NaN");
  }
  return {};
}

Status Read(const ByteSource& file, Importance* importance) {
  std::string magic(kGgufMagic.size(), '\0');
  const bool is_long = file.size() >= magic.size();
  if (is_long) QSTORE_TRY(file.Read(0, std::as_writable_bytes(std::span(magic))));
  QSTORE_TRY(magic == kGgufMagic ? ReadGgufForm(file, importance) : ReadOldForm(file, importance));
  return CheckValues(*importance);
}

}  // namespace

Result<Importance> ReadImportance(const std::filesystem::path& path) {
  QSTORE_ASSIGN(const auto file, io::SourceFile::Open(path));
  Importance importance;
  importance.file = path.string();
  QSTORE_TRY(Read(*file, &importance).WithContext(path.string()));
  return importance;
}

}  // namespace qstore::make
