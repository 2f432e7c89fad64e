// SPDX-License-Identifier: Apache-2.0
#include "container/gguf/gguf.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "container/gguf/gguf_head.h"
#include "container/gguf/gguf_split.h"
#include "container/head_source.h"
#include "format/limits.h"
#include "io/safetensors.h"

namespace qstore::container {
namespace {

// A value of this size or more is an object of its own, which files have in common.
constexpr uint64_t kLargeValue = 512;
// Numbers of the metadata that schemes may ask for.
constexpr size_t kMostNumbers = 256;
constexpr std::string_view kExtension = ".gguf";
constexpr std::string_view kTensorList = "tensors";

struct Placed {
  Tensor tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class GgufContainer final : public Container {
 public:
  ContainerId id() const override { return 2; }
  std::string_view name() const override { return "gguf"; }

  bool Claims(std::string_view path) const override { return path.ends_with(kExtension); }

  std::optional<ModelPart> PartOfModel(std::string_view path) const override {
    return GgufPartOf(path.substr(0, path.size() - kExtension.size()));
  }
  std::string PathOfPart(const ModelPart& part, uint32_t number) const override {
    return GgufPathOf(part, number) + std::string(kExtension);
  }

  Result<Layout> Parse(const ByteSource& file) const override {
    Layout layout;
    std::vector<Placed> placed;
    uint64_t value_end = 0;
    const auto cut = [&](uint64_t begin, uint64_t end, std::string_view name) {
      if (end > begin) layout.parts.push_back({begin, end, std::string(name)});
    };
    const GgufVisitor visitor{[&](const GgufValue& value) {
                                if (value.number && layout.numbers.size() < kMostNumbers) {
                                  layout.numbers.emplace_back(value.key, *value.number);
                                }
                                if (value.end - value.begin < kLargeValue) return Status();
                                cut(value_end, value.begin, {});
                                cut(value.begin, value.end, value.key);
                                value_end = value.end;
                                return Status();
                              },
                              [&](const GgufTensor& tensor) {
                                if (tensor.offset > format::kMaxSize)
                                  return Corrupt("an offset is too large");
                                placed.push_back({{std::string(tensor.name),
                                                   tensor.dtype,
                                                   {tensor.shape.begin(), tensor.shape.end()},
                                                   0},
                                                  tensor.offset,
                                                  tensor.offset + tensor.size});
                                return Status();
                              }};
    QSTORE_ASSIGN(const GgufHead head, ReadGgufHead(file, visitor));
    cut(value_end, head.tensors_begin, {});
    cut(head.tensors_begin, head.tensors_end, kTensorList);
    if (placed.empty()) {
      // All of it is head.
      if (file.size() > kMaxGgufHead) return Corrupt("there are no tensors in a large file");
      cut(head.tensors_end, file.size(), {});
      return layout;
    }
    if (head.data_begin > file.size()) return Corrupt("the file ends behind its head");
    cut(head.tensors_end, head.data_begin, {});
    QSTORE_TRY(PlaceTensors(head.data_begin, file.size(), &placed, &layout));
    return layout;
  }

  uint64_t MaxHeadBytes() const override { return kMaxGgufHead; }

  // Names are held, so that none comes twice.
  uint64_t MemoryOfEntry() const override { return 128; }

  Status ReadHead(std::span<const std::byte> head, size_t max_rank,
                  const EntryTaker& take) const override {
    const GgufVisitor visitor{{}, [&](const GgufTensor& tensor) {
                                if (tensor.shape.size() > max_rank) {
                                  return Corrupt("a tensor has too many dimensions");
                                }
                                return take({tensor.name, tensor.dtype, tensor.shape, tensor.offset,
                                             tensor.offset + tensor.size});
                              }};
    QSTORE_ASSIGN(const GgufHead read, ReadGgufHead(HeadSource(head), visitor));
    if (read.tensor_count > 0 && head.size() != read.data_begin) {
      return Corrupt("the head does not end where the content of tensors begins");
    }
    return {};
  }

 private:
  // Parts of tensors, and between them what pads.
  static Status PlaceTensors(uint64_t data_begin, uint64_t file_size, std::vector<Placed>* placed,
                             Layout* layout) {
    std::stable_sort(placed->begin(), placed->end(), [](const Placed& a, const Placed& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t end = 0;
    for (Placed& each : *placed) {
      const auto refuse = [&](const char* rule) {
        return Corrupt(rule).WithContext("tensor " + io::QuotedName(each.tensor.name));
      };
      if (each.end > file_size - data_begin) return refuse("reaches beyond the file");
      if (each.begin < end) return refuse("overlaps another one");
      if (each.begin > end) {
        if (layout->tensors.empty()) return refuse("is the first, but not at the begin");
        layout->parts.push_back({data_begin + end, data_begin + each.begin, {}});
      }
      each.tensor.part = static_cast<uint32_t>(layout->parts.size());
      layout->parts.push_back({data_begin + each.begin, data_begin + each.end, {}});
      layout->tensors.push_back(std::move(each.tensor));
      end = each.end;
    }
    if (data_begin + end < file_size) layout->parts.push_back({data_begin + end, file_size, {}});
    return {};
  }
};

}  // namespace

const Container& Gguf() {
  static const GgufContainer kContainer;
  return kContainer;
}

}  // namespace qstore::container
