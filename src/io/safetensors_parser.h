// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "io/json.h"
#include "io/safetensors.h"

namespace qstore::io {

/// Turns the events of a header's JSON into entries, by the rules of the reference reader's data
/// types. That reader takes an entry also as the array [dtype, shape, data_offsets], and a dtype
/// also as {"F32": null}; unknown fields of an entry may hold anything.
class SafetensorsParser final : public JsonHandler {
 public:
  /// `take` gets the entries, see SafetensorsEntryTaker. Pairs of "__metadata__" go to `metadata`,
  /// or are only looked at when that is null.
  SafetensorsParser(SafetensorsEntryTaker take, size_t max_rank, SafetensorsMetadata* metadata)
      : take_(std::move(take)), max_rank_(max_rank), metadata_(metadata) {}
  Status OnEvent(const JsonEvent& event) override;

 private:
  enum class State : uint8_t {
    kStart,          // Before the outermost object.
    kTop,            // A key or the end of the outermost object.
    kMetadataStart,  // The value of __metadata__.
    kMetadataKey,
    kMetadataValue,
    kEntryStart,   // The value of a tensor's name.
    kEntryObject,  // A field's key or the end of the entry.
    kEntryArray,   // A field's value or the end of the entry.
    kFieldStart,   // The value behind a field's key.
    kDTypeKey,     // In {"F32": null}.
    kDTypeValue,
    kDTypeEnd,
    kShape,
    kOffsets,
    kSkip,  // In the value of an unknown field.
  };
  enum Field : uint8_t { kDType, kShapeField, kDataOffsets, kFieldCount, kUnknown = kFieldCount };

  Status OnTop(const JsonEvent& event);
  Status OnMetadata(const JsonEvent& event);
  Status OnEntry(const JsonEvent& event);
  Status OnField(const JsonEvent& event);
  Status OnDType(const JsonEvent& event);
  Status OnNumbers(const JsonEvent& event);
  Status OnSkip(const JsonEvent& event);
  Status SetDType(std::string_view name);
  Status EndField();
  Status EndEntry();
  Status Wrong(std::string_view rule) const;

  State state_ = State::kStart;
  Field field_ = kUnknown;
  bool entry_is_array_ = false;
  bool metadata_seen_ = false;
  unsigned seen_ = 0;     // One bit for each field of the entry.
  unsigned offsets_ = 0;  // Numbers read of data_offsets.
  unsigned depth_ = 0;    // Of the value being skipped.
  SafetensorsTensor entry_;
  std::string metadata_key_;
  const SafetensorsEntryTaker take_;
  const size_t max_rank_;
  SafetensorsMetadata* const metadata_;
};

}  // namespace qstore::io
