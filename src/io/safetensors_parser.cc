// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_parser.h"

#include "base/status_macros.h"

namespace qstore::io {
namespace {

using Kind = JsonEvent::Kind;

constexpr std::string_view kFieldNames[] = {"dtype", "shape", "data_offsets"};

}  // namespace

Status SafetensorsParser::OnEvent(const JsonEvent& event) {
  switch (state_) {
    case State::kStart:
    case State::kTop:
      return OnTop(event);
    case State::kMetadataStart:
    case State::kMetadataKey:
    case State::kMetadataValue:
      return OnMetadata(event);
    case State::kEntryStart:
    case State::kEntryObject:
      return OnEntry(event);
    case State::kEntryArray:
      if (event.kind == Kind::kEndArray) return EndEntry();
      if (field_ == kUnknown) return Wrong("has more than three elements");
      return OnField(event);
    case State::kFieldStart:
      return OnField(event);
    case State::kDTypeKey:
    case State::kDTypeValue:
    case State::kDTypeEnd:
      return OnDType(event);
    case State::kShape:
    case State::kOffsets:
      return OnNumbers(event);
    case State::kSkip:
      return OnSkip(event);
  }
  return InternalError("safetensors parser in no state");
}

Status SafetensorsParser::OnTop(const JsonEvent& event) {
  if (state_ == State::kStart) {
    if (event.kind != Kind::kBeginObject) return Corrupt("header is not a JSON object");
    state_ = State::kTop;
    return {};
  }
  if (event.kind != Kind::kKey) return {};  // The end of the object; nothing can follow.
  if (event.text == "__metadata__") {
    if (metadata_seen_) return Corrupt("__metadata__ is given twice");
    metadata_seen_ = true;
    state_ = State::kMetadataStart;
    return {};
  }
  entry_.name = event.text;
  entry_.shape.clear();
  state_ = State::kEntryStart;
  return {};
}

Status SafetensorsParser::OnMetadata(const JsonEvent& event) {
  if (state_ == State::kMetadataStart) {
    if (event.kind == Kind::kNull) {
      state_ = State::kTop;
    } else if (event.kind == Kind::kBeginObject) {
      state_ = State::kMetadataKey;
    } else {
      return Corrupt("__metadata__ is not an object");
    }
  } else if (state_ == State::kMetadataKey) {
    metadata_key_ = event.text;
    state_ = event.kind == Kind::kKey ? State::kMetadataValue : State::kTop;
  } else {
    if (event.kind != Kind::kString) {
      return Corrupt("__metadata__: " + QuotedName(metadata_key_) + " is not a string");
    }
    if (metadata_ != nullptr) metadata_->emplace_back(metadata_key_, event.text);
    state_ = State::kMetadataKey;
  }
  return {};
}

Status SafetensorsParser::OnEntry(const JsonEvent& event) {
  if (state_ == State::kEntryStart) {
    if (event.kind != Kind::kBeginObject && event.kind != Kind::kBeginArray) {
      return Wrong("entry is not an object");
    }
    entry_is_array_ = event.kind == Kind::kBeginArray;
    field_ = kDType;
    seen_ = 0;
    state_ = entry_is_array_ ? State::kEntryArray : State::kEntryObject;
    return {};
  }
  if (event.kind == Kind::kEndObject) return EndEntry();
  field_ = kUnknown;
  for (const Field field : {kDType, kShapeField, kDataOffsets}) {
    if (event.text == kFieldNames[field]) field_ = field;
  }
  if (field_ != kUnknown && (seen_ & (1u << field_)) != 0) {
    return Wrong(std::string(kFieldNames[field_]) + " is given twice");
  }
  state_ = State::kFieldStart;
  return {};
}

Status SafetensorsParser::OnField(const JsonEvent& event) {
  switch (field_) {
    case kDType:
      if (event.kind == Kind::kString) {
        QSTORE_TRY(SetDType(event.text));
        return EndField();
      }
      if (event.kind != Kind::kBeginObject) return Wrong("dtype is not a string");
      state_ = State::kDTypeKey;
      return {};
    case kShapeField:
      if (event.kind != Kind::kBeginArray) return Wrong("shape is not an array");
      state_ = State::kShape;
      return {};
    case kDataOffsets:
      if (event.kind != Kind::kBeginArray) return Wrong("data_offsets is not an array");
      offsets_ = 0;
      state_ = State::kOffsets;
      return {};
    case kUnknown:
      break;
  }
  depth_ = 0;
  state_ = State::kSkip;
  return OnSkip(event);
}

Status SafetensorsParser::OnDType(const JsonEvent& event) {
  switch (state_) {
    case State::kDTypeKey:
      if (event.kind != Kind::kKey) return Wrong("dtype is an empty object");
      QSTORE_TRY(SetDType(event.text));
      state_ = State::kDTypeValue;
      return {};
    case State::kDTypeValue:
      if (event.kind != Kind::kNull) break;
      state_ = State::kDTypeEnd;
      return {};
    default:
      if (event.kind != Kind::kEndObject) break;
      return EndField();
  }
  return Wrong("dtype carries a value");
}

Status SafetensorsParser::OnNumbers(const JsonEvent& event) {
  if (event.kind == Kind::kEndArray) {
    if (state_ == State::kOffsets && offsets_ != 2) return Wrong("data_offsets is not a pair");
    return EndField();
  }
  if (event.kind != Kind::kUnsigned) {
    return Wrong(std::string(kFieldNames[field_]) + " holds something else than unsigned integers");
  }
  if (state_ == State::kShape) {
    if (entry_.shape.size() == max_rank_) {
      return Wrong("rank beyond " + std::to_string(max_rank_));
    }
    entry_.shape.push_back(event.number);
    return {};
  }
  if (offsets_ == 2) return Wrong("data_offsets is not a pair");
  (offsets_ == 0 ? entry_.begin : entry_.end) = event.number;
  ++offsets_;
  return {};
}

Status SafetensorsParser::OnSkip(const JsonEvent& event) {
  if (event.kind == Kind::kBeginObject || event.kind == Kind::kBeginArray) ++depth_;
  if (event.kind == Kind::kEndObject || event.kind == Kind::kEndArray) --depth_;
  return depth_ == 0 ? EndField() : Status();
}

Status SafetensorsParser::SetDType(std::string_view name) {
  const auto dtype = DTypeFromName(name);
  if (!dtype || DTypeBlock(*dtype) != 1) return Wrong("dtype " + QuotedName(name) + " is unknown");
  entry_.dtype = *dtype;
  return {};
}

Status SafetensorsParser::EndField() {
  if (field_ != kUnknown) seen_ |= 1u << field_;
  if (entry_is_array_) field_ = static_cast<Field>(field_ + 1);
  state_ = entry_is_array_ ? State::kEntryArray : State::kEntryObject;
  return {};
}

Status SafetensorsParser::EndEntry() {
  for (const Field field : {kDType, kShapeField, kDataOffsets}) {
    if ((seen_ & (1u << field)) == 0) return Wrong(std::string(kFieldNames[field]) + " is missing");
  }
  state_ = State::kTop;
  return take_(&entry_);
}

Status SafetensorsParser::Wrong(std::string_view rule) const {
  return Corrupt("tensor " + QuotedName(entry_.name) + ": " + std::string(rule));
}

}  // namespace qstore::io
