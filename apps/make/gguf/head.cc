// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/head.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "make/gguf/mixture.h"
#include "make/gguf/values.h"

namespace qstore::make {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint32_t kQuantizationVersion = 2;
constexpr size_t kMostText = 127;  // Bytes of a text that llama-quantize adds.

constexpr std::string_view kVersionKey = "general.quantization_version";
constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kFileKey = "quantize.imatrix.file";
constexpr std::string_view kDatasetKey = "quantize.imatrix.dataset";
constexpr std::string_view kEntriesKey = "quantize.imatrix.entries_count";
constexpr std::string_view kChunksKey = "quantize.imatrix.chunks_count";
constexpr std::string_view kLeftOut[] = {"split.no", "split.count", "split.tensors.count",
                                         kVersionKey, kFileTypeKey};

class HeadWriter {
 public:
  void Fixed32(uint32_t value) { writer_.Fixed(value); }
  void Fixed64(uint64_t value) { writer_.Fixed(value); }
  void Raw(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    std::copy(bytes.begin(), bytes.end(), Room(bytes.size()).begin());
  }
  void Text(std::string_view text) {
    Fixed64(text.size());
    Raw(text);
  }
  /// Room for bytes to fill.
  std::span<std::byte> Room(uint64_t size) {
    const size_t at = bytes_.size();
    bytes_.resize(at + static_cast<size_t>(size));
    return std::span(bytes_).subspan(at);
  }
  void Pad(uint64_t alignment) {
    bytes_.resize(static_cast<size_t>((bytes_.size() + alignment - 1) & ~(alignment - 1)));
  }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  base::ByteWriter writer_{&bytes_};
};

/// Values of the metadata in the order in which they are written.
class Values {
 public:
  Values(const GgufContents& contents, const GgufTarget& target, const Importance& importance) {
    for (const GgufEntry& entry : contents.entries) {
      if (std::find(std::begin(kLeftOut), std::end(kLeftOut), entry.key) != std::end(kLeftOut)) {
        continue;
      }
      kept_.push_back(&entry);
    }
    Add({kVersionKey, kQuantizationVersion, {}});
    Add({kFileTypeKey, static_cast<uint32_t>(target.file_type), {}});
    if (!importance.empty()) AddImportance(importance);
  }

  uint64_t count() const { return kept_.size() + added_.size(); }

  Status Write(const ByteSource& source, HeadWriter* out) const {
    for (const GgufEntry* entry : kept_) {
      out->Text(entry->key);
      out->Fixed32(entry->type);
      QSTORE_TRY(source.Read(entry->begin, out->Room(entry->end - entry->begin)));
    }
    for (const Added& added : added_) {
      out->Text(added.key);
      out->Fixed32(added.text ? kGgufString : kGgufU32);
      if (added.text) {
        out->Text(*added.text);
      } else {
        out->Fixed32(added.number);
      }
    }
    return {};
  }

 private:
  struct Added {
    std::string_view key;
    uint32_t number = 0;
    std::optional<std::string> text;  // In place of the number.
  };

  // Takes the place of a value of that key.
  void Add(Added added) {
    std::erase_if(kept_, [&](const GgufEntry* entry) { return entry->key == added.key; });
    added_.push_back(std::move(added));
  }
  void AddImportance(const Importance& importance) {
    Add({kFileKey, 0, importance.file.substr(0, kMostText)});
    if (importance.dataset) Add({kDatasetKey, 0, importance.dataset->substr(0, kMostText)});
    Add({kEntriesKey, static_cast<uint32_t>(importance.columns.size()), {}});
    if (importance.chunks > 0) Add({kChunksKey, importance.chunks, {}});
  }

  std::vector<const GgufEntry*> kept_;
  std::vector<Added> added_;
};

void WriteTensor(const GgufItem& tensor, uint64_t offset, HeadWriter* out) {
  out->Text(tensor.name);
  const auto shape = CountedShape(tensor.shape);
  out->Fixed32(shape.empty() ? 1 : static_cast<uint32_t>(shape.size()));
  if (shape.empty()) out->Fixed64(1);
  for (size_t d = shape.size(); d-- > 0;) out->Fixed64(shape[d]);
  out->Fixed32(*GgufNumberOf(tensor.dtype));
  out->Fixed64(offset);
}

}  // namespace

Result<std::vector<std::byte>> MakeGgufHead(const ByteSource& source, const GgufContents& contents,
                                            const GgufTarget& target, const Importance& importance,
                                            std::vector<GgufItem>* tensors, uint64_t* file_size) {
  const Values values(contents, target, importance);
  HeadWriter out;
  out.Raw(kGgufMagic);
  out.Fixed32(kVersion);
  out.Fixed64(tensors->size());
  out.Fixed64(values.count());
  QSTORE_TRY(values.Write(source, &out));
  const uint64_t mask = contents.alignment - 1;
  uint64_t offset = 0;
  for (GgufItem& tensor : *tensors) {
    WriteTensor(tensor, offset, &out);
    tensor.begin = offset;
    offset += (tensor.byte_size + mask) & ~mask;
  }
  out.Pad(contents.alignment);
  std::vector<std::byte> head = out.Take();
  for (GgufItem& tensor : *tensors) tensor.begin += head.size();
  *file_size = head.size() + offset;
  return head;
}

}  // namespace qstore::make
