// SPDX-License-Identifier: Apache-2.0
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/gguf/gguf_head.h"
#include "container/gguf/gguf_types.h"
#include "io/safetensors.h"
#include "qstore/gguf.h"

namespace qstore {
namespace {

Status PlaceTensors(uint64_t data_begin, uint64_t file_size, std::vector<GgufItem>* tensors) {
  for (GgufItem& tensor : *tensors) {
    const uint64_t offset = tensor.begin;
    if (data_begin > file_size || offset > file_size - data_begin ||
        tensor.byte_size > file_size - data_begin - offset) {
      return Corrupt("tensor " + io::QuotedName(tensor.name) + ": reaches beyond the file");
    }
    tensor.begin += data_begin;
  }
  return {};
}

Result<GgufContents> Read(const ByteSource& file) {
  GgufContents contents;
  const container::GgufVisitor visitor{
      .value =
          [&](const container::GgufValue& value) {
            contents.entries.push_back({std::string(value.key), static_cast<uint32_t>(value.type),
                                        value.begin, value.end});
            return Status();
          },
      .tensor =
          [&](const container::GgufTensor& tensor) {
            contents.tensors.push_back({std::string(tensor.name),
                                        tensor.dtype,
                                        {tensor.shape.begin(), tensor.shape.end()},
                                        tensor.offset,
                                        tensor.size});
            return Status();
          }};
  QSTORE_ASSIGN(const auto head, container::ReadGgufHead(file, visitor));
  contents.alignment = head.alignment;
  // A file without tensors may end with its head.
  QSTORE_TRY(PlaceTensors(head.data_begin, file.size(), &contents.tensors));
  return contents;
}

}  // namespace

Result<GgufContents> ReadGguf(const ByteSource& file) {
  return base::Guarded([&] { return Read(file); });
}

std::optional<uint32_t> GgufNumberOf(DType dtype) { return container::GgmlOfDType(dtype); }

}  // namespace qstore
