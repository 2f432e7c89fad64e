// SPDX-License-Identifier: Apache-2.0
#include "container/safetensors/safetensors.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "format/index.h"
#include "format/limits.h"
#include "io/safetensors.h"

namespace qstore::container {
namespace {

constexpr uint64_t kLengthBytes = 8;

bool WithinLimits(const io::SafetensorsHeader& header) {
  return std::all_of(header.tensors.begin(), header.tensors.end(), [](const auto& tensor) {
    return tensor.name.size() <= format::kMaxTensorNameBytes &&
           tensor.shape.size() <= format::kMaxRank &&
           format::TensorBytes(tensor.dtype, tensor.shape) == tensor.end - tensor.begin;
  });
}

class SafetensorsContainer final : public Container {
 public:
  ContainerId id() const override { return 1; }
  std::string_view name() const override { return "safetensors"; }

  bool Claims(std::string_view path) const override { return path.ends_with(".safetensors"); }

  // Files that are numbered have an index beside them, see io::ListModelFiles.
  std::optional<ModelPart> PartOfModel(std::string_view) const override { return std::nullopt; }
  std::string PathOfPart(const ModelPart& part, uint32_t) const override { return part.model; }

  // Refuses what the reference reader would.
  Result<Layout> Parse(const ByteSource& file) const override {
    QSTORE_ASSIGN(io::SafetensorsHeader header, io::ReadSafetensorsHeader(file));
    if (!WithinLimits(header)) return LimitExceeded("a tensor's name or shape is too long");
    Layout layout;
    layout.parts.push_back({0, header.data_begin, {}});
    for (io::SafetensorsTensor& tensor : header.tensors) {
      const auto part = static_cast<uint32_t>(layout.parts.size());
      layout.parts.push_back({tensor.begin, tensor.end, {}});
      layout.tensors.push_back(
          {std::move(tensor.name), tensor.dtype, std::move(tensor.shape), part});
    }
    return layout;
  }

  uint64_t MaxHeadBytes() const override { return kLengthBytes + io::kMaxSafetensorsHeader; }

  Status ReadHead(std::span<const std::byte> head, size_t max_rank,
                  const EntryTaker& take) const override {
    if (head.size() < kLengthBytes ||
        base::LoadLe<uint64_t>(head.data()) != head.size() - kLengthBytes) {
      return Corrupt("its first object is not the length and text of a header");
    }
    const auto text = head.subspan(kLengthBytes);
    return io::ReadSafetensorsEntries(
        {reinterpret_cast<const char*>(text.data()), text.size()}, max_rank,
        [&](io::SafetensorsTensor* tensor) {
          return take({tensor->name, tensor->dtype, tensor->shape, tensor->begin, tensor->end});
        });
  }
};

}  // namespace

const Container& Safetensors() {
  static const SafetensorsContainer kContainer;
  return kContainer;
}

}  // namespace qstore::container
