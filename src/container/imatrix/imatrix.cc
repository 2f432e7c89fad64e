// SPDX-License-Identifier: Apache-2.0
#include "container/imatrix/imatrix.h"

#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "container/head_source.h"
#include "container/imatrix/imatrix_entries.h"

namespace qstore::container {
namespace {

// As such files are usually named. Other files are named like that as well.
constexpr std::string_view kExtensions[] = {".dat", ".imatrix"};

// Empty for other paths.
std::string_view ExtensionOf(std::string_view path) {
  for (const std::string_view extension : kExtensions) {
    if (path.ends_with(extension)) return extension;
  }
  return {};
}

// The two tensors of an entry, in the order of the file.
template <class Taker>
Status TakeTensors(const ImatrixEntry& entry, const Taker& take) {
  const std::string name(entry.name);
  QSTORE_TRY(take(name + ".calls", DType::kI32, uint64_t{1}, entry.calls));
  return take(name + ".values", DType::kF32, uint64_t{entry.count}, entry.values);
}

class ImatrixContainer final : public Container {
 public:
  ContainerId id() const override { return 3; }
  std::string_view name() const override { return "imatrix"; }

  bool Claims(std::string_view path) const override { return !ExtensionOf(path).empty(); }
  bool IsToldByContent() const override { return true; }

  std::optional<ModelPart> PartOfModel(std::string_view path) const override {
    return ModelPart{std::string(path.substr(0, path.size() - ExtensionOf(path).size())), 0, 0};
  }
  std::string PathOfPart(const ModelPart& part, uint32_t) const override {
    return part.model + std::string(kExtensions[0]);
  }

  Result<Layout> Parse(const ByteSource& file) const override {
    Layout layout;
    uint64_t end = 0;
    const auto take = [&](std::string name, DType dtype, uint64_t count, uint64_t begin) {
      layout.parts.push_back({end, begin, {}});
      end = begin + count * DTypeBits(dtype) / 8;
      layout.tensors.push_back(
          {std::move(name), dtype, {count}, static_cast<uint32_t>(layout.parts.size())});
      layout.parts.push_back({begin, end, {}});
      return Status();
    };
    QSTORE_TRY(ReadImatrix(file, ImatrixBytes::kAll,
                           [&](const ImatrixEntry& entry) { return TakeTensors(entry, take); }));
    if (end < file.size()) layout.parts.push_back({end, file.size(), {}});
    return layout;
  }

  uint64_t MaxHeadBytes() const override { return kMaxImatrixHead; }
  bool HasHeadersBetween() const override { return true; }
  // Names are held, so that none comes twice.
  uint64_t MemoryOfEntry() const override { return 128; }

  Status ReadHead(std::span<const std::byte> head, size_t, const EntryTaker& taker) const override {
    std::optional<uint64_t> first;
    const auto take = [&](const std::string& name, DType dtype, uint64_t count, uint64_t begin) {
      if (!first) first = begin;
      const uint64_t shape[] = {count};
      const uint64_t size = count * DTypeBits(dtype) / 8;
      return taker({name, dtype, shape, begin - *first, begin - *first + size});
    };
    return ReadImatrix(HeadSource(head), ImatrixBytes::kWithoutContents,
                       [&](const ImatrixEntry& entry) { return TakeTensors(entry, take); });
  }
};

}  // namespace

const Container& Imatrix() {
  static const ImatrixContainer kContainer;
  return kContainer;
}

}  // namespace qstore::container
