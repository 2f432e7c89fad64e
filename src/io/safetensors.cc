// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/name_slots.h"
#include "base/status_macros.h"
#include "io/json.h"
#include "io/safetensors_parser.h"
#include "io/safetensors_plain.h"

namespace qstore::io {
namespace {

constexpr uint64_t kLengthBytes = 8;

Status Wrong(const SafetensorsTensor& tensor, const std::string& rule) {
  return Corrupt("tensor " + QuotedName(tensor.name) + ": " + rule);
}

// Of several entries with one name the last one counts.
void DropRepeatedNames(std::vector<SafetensorsTensor>* tensors) {
  base::NameSlots last;
  last.Reset(tensors->size());
  const auto name_of = [&](size_t i) -> std::string_view { return (*tensors)[i].name; };
  size_t distinct = 0;
  for (size_t i = 0; i < tensors->size(); ++i) {
    uint32_t& row = last.Slot(name_of(i), name_of);
    if (row == base::NameSlots::kNone) ++distinct;
    row = static_cast<uint32_t>(i);
  }
  if (distinct == tensors->size()) return;
  std::vector<SafetensorsTensor> kept;
  kept.reserve(distinct);
  for (size_t i = 0; i < tensors->size(); ++i) {
    if (last.Find(name_of(i), name_of) == i) kept.push_back((*tensors)[i]);
  }
  *tensors = std::move(kept);
}

Status ReadEntries(std::string_view json, size_t max_rank, const SafetensorsEntryTaker& take,
                   SafetensorsMetadata* metadata) {
  SafetensorsParser parser(take, max_rank, metadata);
  return ParseJson(json, &parser);
}

// Checks offsets relative to the data section, then makes them relative to the file.
Status Place(std::vector<SafetensorsTensor>* tensors, uint64_t data_begin, uint64_t file_size) {
  const auto before = [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  };
  if (!std::is_sorted(tensors->begin(), tensors->end(), before)) {
    std::stable_sort(tensors->begin(), tensors->end(), before);
  }
  uint64_t expected = 0;
  for (SafetensorsTensor& tensor : *tensors) {
    if (tensor.begin != expected || tensor.end < tensor.begin) {
      return Wrong(tensor, "data_offsets [" + std::to_string(tensor.begin) + ", " +
                               std::to_string(tensor.end) + "] do not continue at " +
                               std::to_string(expected));
    }
    expected = tensor.end;
    auto size = TensorByteSize(tensor.dtype, tensor.shape);
    if (!size.ok()) return Wrong(tensor, size.status().message());
    if (tensor.end - tensor.begin != *size) {
      return Wrong(tensor, "data_offsets span " + std::to_string(tensor.end - tensor.begin) +
                               " bytes, dtype and shape need " + std::to_string(*size));
    }
  }
  if (expected != file_size - data_begin) {
    return Corrupt("the tensors cover " + std::to_string(expected) +
                   " bytes, the data section has " + std::to_string(file_size - data_begin));
  }
  for (SafetensorsTensor& tensor : *tensors) {
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
  return {};
}

void AppendEntry(const SafetensorsTensor& tensor, std::string* json) {
  AppendJsonString(tensor.name, json);
  *json += ":{\"dtype\":\"";
  *json += DTypeName(tensor.dtype);
  *json += "\",\"shape\":[";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i != 0) json->push_back(',');
    *json += std::to_string(tensor.shape[i]);
  }
  *json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," +
           std::to_string(tensor.end) + "]}";
}

std::string HeaderJson(const SafetensorsHeader& header) {
  std::string json = "{";
  if (!header.metadata.empty()) {
    json += "\"__metadata__\":{";
    for (size_t i = 0; i < header.metadata.size(); ++i) {
      if (i != 0) json.push_back(',');
      AppendJsonString(header.metadata[i].first, &json);
      json.push_back(':');
      AppendJsonString(header.metadata[i].second, &json);
    }
    json.push_back('}');
  }
  for (const SafetensorsTensor& tensor : header.tensors) {
    if (json.size() > 1) json.push_back(',');
    AppendEntry(tensor, &json);
  }
  json.push_back('}');
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

}  // namespace

Result<uint64_t> TensorByteSize(DType dtype, const std::vector<uint64_t>& shape) {
  // In this order, as the reference does: a zero behind an overflow does not undo it.
  uint64_t bits = 1;
  for (const uint64_t dim : shape) {
    if (__builtin_mul_overflow(bits, dim, &bits)) return Corrupt("shape overflows 64 bits");
  }
  if (__builtin_mul_overflow(bits, uint64_t{DTypeBits(dtype)}, &bits)) {
    return Corrupt("shape overflows 64 bits");
  }
  if (bits % 8 != 0) return Corrupt("content is not a whole number of bytes");
  return bits / 8;
}

Result<SafetensorsHeader> ReadSafetensorsHeader(const ByteSource& file) {
  const uint64_t size = file.size();
  if (size < kLengthBytes) return Corrupt("file is shorter than the 8 bytes of the header length");
  std::byte field[kLengthBytes];
  QSTORE_TRY(file.Read(0, field));
  const auto length = base::LoadLe<uint64_t>(field);
  if (length > kMaxSafetensorsHeader) {
    return Corrupt("header length " + std::to_string(length) + " is above the limit of " +
                   std::to_string(kMaxSafetensorsHeader));
  }
  if (length > size - kLengthBytes) {
    return Corrupt("header length " + std::to_string(length) + " reaches beyond the file of " +
                   std::to_string(size) + " bytes");
  }
  std::string text(static_cast<size_t>(length), '\0');
  QSTORE_TRY(file.Read(kLengthBytes, std::as_writable_bytes(std::span(text))));

  SafetensorsHeader header;
  const auto keep = [&](SafetensorsTensor* entry) {
    header.tensors.push_back(std::move(*entry));
    return Status();
  };
  QSTORE_ASSIGN(const bool is_plain, ReadPlainSafetensors(text, SIZE_MAX, keep, &header.metadata));
  if (!is_plain) {
    header = {};
    QSTORE_TRY(
        ReadEntries(text, SIZE_MAX, keep, &header.metadata).WithContext("safetensors header"));
  }
  header.data_begin = kLengthBytes + length;
  DropRepeatedNames(&header.tensors);
  QSTORE_TRY(Place(&header.tensors, header.data_begin, size).WithContext("safetensors header"));
  return header;
}

Status ReadSafetensorsEntries(std::string_view json, size_t max_rank,
                              const SafetensorsEntryTaker& take) {
  auto is_plain = ReadPlainSafetensors(json, max_rank, take, nullptr);
  if (!is_plain.ok()) return is_plain.status().WithContext("safetensors header");
  if (*is_plain) return {};
  return ReadEntries(json, max_rank, take, nullptr).WithContext("safetensors header");
}

Result<SafetensorsLayout> LayOutSafetensors(std::vector<SafetensorsTensor> tensors,
                                            SafetensorsMetadata metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  std::unordered_map<std::string_view, bool> names;
  uint64_t offset = 0;
  for (SafetensorsTensor& tensor : tensors) {
    if (tensor.name == "__metadata__" || !names.emplace(tensor.name, true).second) {
      return InvalidArgument("tensor name " + QuotedName(tensor.name) + " cannot be used here");
    }
    auto size = TensorByteSize(tensor.dtype, tensor.shape);
    if (!size.ok() || __builtin_add_overflow(offset, *size, &tensor.end)) {
      return InvalidArgument("tensor " + QuotedName(tensor.name) + ": shape is not storable");
    }
    tensor.begin = offset;
    offset = tensor.end;
  }
  SafetensorsLayout layout;
  layout.header.tensors = std::move(tensors);
  layout.header.metadata = std::move(metadata);
  const std::string json = HeaderJson(layout.header);
  if (json.size() > kMaxSafetensorsHeader) return LimitExceeded("safetensors header is too long");

  layout.prefix.resize(kLengthBytes);
  base::StoreLe<uint64_t>(layout.prefix.data(), json.size());
  layout.prefix += json;
  layout.header.data_begin = layout.prefix.size();
  layout.file_size = layout.header.data_begin + offset;
  for (SafetensorsTensor& tensor : layout.header.tensors) {
    tensor.begin += layout.header.data_begin;
    tensor.end += layout.header.data_begin;
  }
  return layout;
}

std::string QuotedName(std::string_view name) {
  constexpr size_t kShown = 160;
  std::string quoted = "'";
  for (const char c : name.substr(0, kShown)) {
    quoted.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  }
  quoted += name.size() > kShown ? "...'" : "'";
  return quoted;
}

}  // namespace qstore::io
