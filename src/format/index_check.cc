// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "format/index.h"
#include "format/limits.h"
#include "format/names.h"

namespace qstore::format {
namespace {

std::string Quoted(std::string_view name) {
  std::string text = "'";
  text += name.substr(0, 200);
  text += '\'';
  return text;
}

// The rules for names are the writer's too, where breaking one is the caller's fault.
Status AsCorrupt(const Status& status) { return status.ok() ? status : Corrupt(status.message()); }

class Checker {
 public:
  Checker(const Index& index, const Footer& footer, Gaps gaps)
      : index_(index), footer_(footer), gaps_(gaps) {}

  Status Run() {
    QSTORE_TRY(Chunks());
    QSTORE_TRY(Objects());
    QSTORE_TRY(Variants());
    for (const FileEntry& file : index_.files) {
      Status status = File(file);
      if (!status.ok()) return status.WithContext("file " + Quoted(file.path));
    }
    UseAncestors();
    for (size_t id = 0; id < used_.size(); ++id) {
      if (used_[id] != Use::kNone) continue;
      return Corrupt("object " + std::to_string(id) + " is in no file, and no ancestor of one");
    }
    return {};
  }

 private:
  Status Chunks() const {
    const auto end_of = [](const ChunkEntry& chunk) { return chunk.offset + chunk.stored_size; };
    uint64_t end = Header::kEncodedSize;
    bool has_gap = false;
    for (const ChunkEntry& chunk : index_.chunks) {
      has_gap |= chunk.offset != end;
      end = end_of(chunk);
    }
    if (end > footer_.index_offset) return Corrupt("chunks reach into the index");
    has_gap |= end != footer_.index_offset;
    if (has_gap && gaps_ == Gaps::kNone) {
      return Corrupt("chunks do not lie end to end from the header to the index");
    }
    return {};
  }

  Status Objects() {
    const auto& objects = index_.objects;
    used_.assign(objects.size(), Use::kNone);
    depth_.assign(objects.size(), kUnknown);
    ancestors_.assign(objects.size(), 0);
    for (size_t id = 0; id < objects.size(); ++id) {
      Status status = Object(objects[id]);
      if (status.ok()) status = Parents(static_cast<uint32_t>(id));
      if (!status.ok()) return status.WithContext("object " + std::to_string(id));
    }
    return {};
  }

  Status Parents(uint32_t id) {
    const ObjectEntry& object = index_.objects[id];
    const auto parents = index_.parents_of(object);
    if ((object.scheme == kNoScheme) != parents.empty() ||
        (object.scheme == kNoScheme && !object.params.empty())) {
      return Corrupt("has parents or parameters without a scheme, or a scheme without parents");
    }
    return SetDepth(id, 0);
  }

  // The depth of an object is that of its longest row of ancestors. The depth of calls is bounded
  // by it, which a circle exceeds.
  Status SetDepth(uint32_t id, unsigned calls) {
    if (depth_[id] != kUnknown) return {};
    unsigned depth = 0;
    unsigned ancestors = 0;
    for (const uint32_t parent : index_.parents_of(index_.objects[id])) {
      if (calls == kMaxDepth) return LimitExceeded("has more than 8 ancestors in a row");
      QSTORE_TRY(SetDepth(parent, calls + 1));
      depth = std::max(depth, depth_[parent] + 1U);
      ancestors += ancestors_[parent] + 1U;
    }
    if (depth > kMaxDepth) return LimitExceeded("has more than 8 ancestors in a row");
    if (ancestors > kMaxAncestors) return LimitExceeded("has more than 4095 ancestors");
    depth_[id] = static_cast<uint8_t>(depth);
    ancestors_[id] = static_cast<uint16_t>(ancestors);
    all_ancestors_ += ancestors;
    if (all_ancestors_ > kMaxAllAncestors) {
      return LimitExceeded("all objects have more than 2^26 ancestors");
    }
    return {};
  }

  Status Object(const ObjectEntry& object) const {
    if (object.byte_size % object.elem_bytes() != 0) return Corrupt("the last element is cut");
    if (object.row_elems == 0) return Corrupt("rows are empty");
    if (object.byte_size > kMaxSize) return LimitExceeded("larger than 2^62 bytes");
    for (uint32_t i = 0; i < object.chunk_count; ++i) {
      const ChunkEntry& chunk = index_.chunks[object.first_chunk + i];
      const uint64_t raw_size = index_.chunk_raw_size(object, i);
      if (i > 0) {
        const ChunkEntry& before = index_.chunks[object.first_chunk + i - 1];
        if (chunk.offset != before.offset + before.stored_size) {
          return Corrupt("there is a gap before chunk " + std::to_string(i));
        }
      }
      if (chunk.stored_size > raw_size ||
          (chunk.codec == ChunkCodec::kRaw && chunk.stored_size != raw_size)) {
        return Corrupt("chunk " + std::to_string(i) + " has a wrong size");
      }
    }
    return {};
  }

  // What no file has is there for those that follow from it.
  void UseAncestors() {
    for (uint32_t id = 0; id < used_.size(); ++id) {
      if (used_[id] == Use::kFile) UseParents(id);
    }
  }

  // The depth of calls is that of ancestors.
  void UseParents(uint32_t id) {
    for (const uint32_t parent : index_.parents_of(index_.objects[id])) {
      if (used_[parent] != Use::kNone) continue;
      used_[parent] = Use::kChild;
      UseParents(parent);
    }
  }

  Status Variants() const {
    const auto& variants = index_.variants;
    if (variants.empty()) return Corrupt("there is no variant");
    for (size_t i = 0; i < variants.size(); ++i) {
      QSTORE_TRY(AsCorrupt(CheckVariantName(variants[i].name)));
      for (size_t j = 0; j < i; ++j) {
        if (variants[j].name == variants[i].name) {
          return Corrupt("two variants are named " + Quoted(variants[i].name));
        }
      }
      const Range files = variants[i].files;
      for (uint32_t f = files.begin; f < files.end; ++f) {
        QSTORE_TRY(AsCorrupt(CheckPath(index_.files[f].path)));
        if (f > files.begin) QSTORE_TRY(Successive(index_.files[f - 1].path, index_.files[f].path));
      }
    }
    return {};
  }

  static Status Successive(std::string_view before, std::string_view path) {
    if (!PathLess(before, path)) return Corrupt("file " + Quoted(path) + " is out of order");
    if (LiesBelow(path, before)) return Corrupt(Quoted(before) + " is a file and a folder");
    return {};
  }

  Status File(const FileEntry& file) {
    uint64_t size = 0;
    for (uint32_t p = file.parts.begin; p < file.parts.end; ++p) {
      const uint32_t object = index_.parts[p];
      if (object >= index_.objects.size()) return Corrupt("a part names no object");
      used_[object] = Use::kFile;
      size += index_.objects[object].byte_size;
      if (size > kMaxSize) return LimitExceeded("larger than 2^62 bytes");
    }
    if (size != file.size) return Corrupt("its objects do not add up to its size");
    const bool fits = file.container == kNoContainer ? file.tensors.size() == 0
                                                     : file.parts.size() > file.tensors.size();
    if (!fits) return Corrupt("its tensors do not fit its objects");
    const bool is_plain = file.container == kNoContainer && !file.Has(FileFlag::kExecutable);
    if (file.Has(FileFlag::kDirectory) && (file.parts.size() > 0 || !is_plain)) {
      return Corrupt("a directory has content, or what only files have");
    }
    return Tensors(file);
  }

  Status Tensors(const FileEntry& file) {
    seen_.assign(file.parts.size(), 0);
    for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
      const TensorEntry& tensor = index_.tensors[t];
      if (t > file.tensors.begin && !(index_.tensors[t - 1].name < tensor.name)) {
        return Corrupt("tensor " + Quoted(tensor.name) + " is out of order");
      }
      uint8_t& seen = seen_[tensor.part - file.parts.begin];
      if (tensor.part == file.parts.begin || seen != 0) {
        return Corrupt("tensor " + Quoted(tensor.name) + " has no object of its own");
      }
      seen = 1;
      const auto bytes = TensorBytes(tensor.dtype, index_.shape(tensor));
      if (!bytes || *bytes != index_.objects[index_.parts[tensor.part]].byte_size) {
        return Corrupt("tensor " + Quoted(tensor.name) + ": shape and size differ");
      }
    }
    return {};
  }

  const Index& index_;
  const Footer& footer_;
  const Gaps gaps_;
  enum class Use : uint8_t { kNone, kFile, kChild };
  std::vector<Use> used_;  // By object: some file has it, or some child of it is used.
  static constexpr uint8_t kUnknown = UINT8_MAX;
  std::vector<uint8_t> depth_;       // By object: ancestors in the longest row of them.
  std::vector<uint16_t> ancestors_;  // By object: ancestors, each for every way to it.
  uint64_t all_ancestors_ = 0;
  std::vector<uint8_t> seen_;  // By part of the file at hand.
};

}  // namespace

Status CheckIndex(const Index& index, const Footer& footer, Gaps gaps) {
  return Checker(index, footer, gaps).Run();
}

std::optional<uint64_t> TensorBytes(DType dtype, std::span<const uint64_t> shape) {
  uint64_t bits = DTypeBits(dtype);
  bool overflows = false;
  bool has_zero = false;
  for (const uint64_t dim : shape) {
    overflows |= __builtin_mul_overflow(bits, dim, &bits);
    has_zero |= dim == 0;
  }
  // Whatever is beside a zero, the product is zero.
  if (has_zero) return 0;
  const unsigned block = DTypeBlock(dtype);
  if (overflows || bits % 8 != 0 || bits / 8 > kMaxSize) return std::nullopt;
  if (block == 1) return bits / 8;
  // Blocks hold weights of one row.
  if (shape.empty() || shape.back() % block != 0) return std::nullopt;
  return bits / 8 / block;
}

}  // namespace qstore::format
