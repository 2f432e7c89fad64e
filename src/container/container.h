// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/disk_ids.h"
#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

// What a container is: a file format that holds tensors. A container is a folder here and a row of
// registry.cc; nobody else knows one by name. Bytes without known structure are in none.

namespace qstore::container {

/// A stretch of a file that becomes an object.
struct Part {
  uint64_t begin = 0;
  uint64_t end = 0;
  /// Of a part that no tensor has: which part of the head it is, the same in files alike. May be
  /// empty.
  std::string name;
  uint64_t size() const { return end - begin; }
};

struct Tensor {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  uint32_t part = 0;  ///< Its content, in Layout::parts: a part of its own, and not the first.
};

/// A file taken apart.
struct Layout {
  /// The file from its first byte to its last, without gaps. What no tensor has is headers and
  /// padding. The parts before the first that a tensor has are the head: one or more. Where a
  /// container has headers between tensors, the head are all parts that no tensor has.
  std::vector<Part> parts;
  std::vector<Tensor> tensors;
  /// Numbers of the metadata, by key.
  std::vector<std::pair<std::string, uint64_t>> numbers;
};

/// A tensor as the head of a file lists it.
struct Entry {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;
  uint64_t begin = 0;  ///< Of its content, from the end of the parts before the first tensor on.
  uint64_t end = 0;
};

/// A file whose name says of which model it is.
struct ModelPart {
  std::string model;    ///< The path of the file without number and extension.
  uint32_t number = 0;  ///< From 1 to `count`; 0 where the model has this file only.
  uint32_t count = 0;
};

/// Gets the entries of a head, names possibly repeated: then the last one counts.
using EntryTaker = std::function<Status(const Entry& entry)>;

class Container {
 public:
  virtual ~Container() = default;

  /// On disk. NOTE: never change that of a container.
  virtual ContainerId id() const = 0;
  /// As users see it.
  virtual std::string_view name() const = 0;

  /// Whether a file of that path may be one.
  virtual bool Claims(std::string_view path) const = 0;
  /// Whether files of other kinds have such paths too, so that what Parse refuses is no fault.
  virtual bool IsToldByContent() const { return false; }
  /// Where files of this container are models without other files: of which one that is. Nothing
  /// where a model is a folder. REQUIRES: Claims.
  virtual std::optional<ModelPart> PartOfModel(std::string_view path) const = 0;
  /// The path of another number of that model. REQUIRES: a number from 1 to the count.
  virtual std::string PathOfPart(const ModelPart& part, uint32_t number) const = 0;
  /// Takes a file apart. Errors: kCorrupt and kLimit naming the rule, where it is none that this
  /// container can have; those of `file`.
  virtual Result<Layout> Parse(const ByteSource& file) const = 0;

  /// Most bytes that a head may have; what is larger is corrupt.
  virtual uint64_t MaxHeadBytes() const = 0;
  /// Whether the head are all parts that no tensor has, laid end to end, and not only those before
  /// the first that a tensor has.
  virtual bool HasHeadersBetween() const { return false; }
  /// Memory that ReadHead takes for each tensor.
  virtual uint64_t MemoryOfEntry() const { return 0; }
  /// Lists the tensors of a head. Holds one entry at a time, of `max_rank` dimensions at most.
  /// Errors: kCorrupt naming the rule, those of `take`.
  virtual Status ReadHead(std::span<const std::byte> head, size_t max_rank,
                          const EntryTaker& take) const = 0;
};

}  // namespace qstore::container
