// SPDX-License-Identifier: Apache-2.0
#include "make/quantize_tasks.h"

#include <algorithm>
#include <span>
#include <string>

#include "base/float_convert.h"
#include "base/status_macros.h"
#include "make/convert.h"

namespace qstore::make {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;  // Of source bytes in one task.

uint64_t ElementBytes(const TensorPlan& tensor) {
  return std::max(1u, DTypeBits(tensor.source.dtype) / 8);
}

Status CheckFinite(const TensorPlan& tensor, uint64_t row, uint16_t largest) {
  if (largest < 0x7c00) return {};
  return InvalidArgument(
      "tensor " + io::QuotedName(tensor.source.name) + ", row " + std::to_string(row) + ": holds " +
      (largest == 0x7c00 ? "infinity or a value beyond F16" : "NaN") + " and cannot be quantized");
}

}  // namespace

void AddTasks(const TensorPlan& tensor, std::vector<Task>* tasks) {
  const uint64_t bytes = tensor.source.end - tensor.source.begin;
  uint64_t unit = 1;
  if (tensor.action == TensorPlan::Action::kCast) unit = ElementBytes(tensor);
  if (tensor.action == TensorPlan::Action::kQuantize) unit = bytes / tensor.source.shape[0];
  uint64_t together = 1;  // Units that no task may part.
  if (tensor.action == TensorPlan::Action::kRound) {
    unit = ElementBytes(tensor);
    together = tensor.rounder->unit();
  }
  const uint64_t units = bytes / unit;
  const uint64_t step = std::max<uint64_t>(1, kPieceBytes / unit / together) * together;
  for (uint64_t first = 0; first < units; first += step) {
    const uint64_t count = std::min(step, units - first);
    tasks->push_back({&tensor, first, count, count * unit});
  }
}

Status Worker::Run(const Task& task, const io::SourceFile& source, io::OutputFile* out) {
  switch (task.tensor->action) {
    case TensorPlan::Action::kKeep:
      QSTORE_TRY(Read(source, task.tensor->source.begin + task.first, task.count));
      return out->WriteAt(task.tensor->begin + task.first, in_);
    case TensorPlan::Action::kCast:
      QSTORE_TRY(ReadAsFloats(*task.tensor, task.first, task.count, source));
      return out->WriteAt(task.tensor->begin + task.first * 2, std::as_bytes(std::span(narrow_)));
    case TensorPlan::Action::kRound:
      return Round(task, source, out);
    case TensorPlan::Action::kQuantize:
      break;
  }
  if (task.first == 0) {
    const std::byte row_major{0};
    QSTORE_TRY(out->WriteAt(task.tensor->format_begin, {&row_major, 1}));
  }
  const uint64_t columns = task.tensor->source.shape[1];
  const bool long_row = columns * ElementBytes(*task.tensor) > kPieceBytes;
  return long_row ? QuantizeLongRow(*task.tensor, task.first, source, out)
                  : QuantizeRows(task, source, out);
}

Result<float> Worker::FindPeak(const Task& task, const io::SourceFile& source) {
  QSTORE_TRY(ReadWeights(task, source));
  return task.tensor->rounder->PeakOf(in_);
}

Status Worker::ReadWeights(const Task& task, const io::SourceFile& source) {
  const uint64_t offset = task.first * ElementBytes(*task.tensor);
  return Read(source, task.tensor->source.begin + offset, task.source_bytes);
}

Status Worker::Round(const Task& task, const io::SourceFile& source, io::OutputFile* out) {
  const TensorPlan& tensor = *task.tensor;
  QSTORE_TRY(ReadWeights(task, source));
  QSTORE_ASSIGN(const auto parts, tensor.rounder->Round(task.first, in_, tensor.peak));
  for (const RoundedPart& part : parts) {
    QSTORE_TRY(out->WriteAt(tensor.part_begin[part.tensor] + part.begin, part.bytes));
  }
  return {};
}

Status Worker::Read(const io::SourceFile& source, uint64_t offset, uint64_t length) {
  in_.resize(static_cast<size_t>(length));
  return source.Read(offset, in_);
}

// Fills narrow_ with elements of the tensor: F16 if it is to be quantized, else of its new type.
Status Worker::ReadAsFloats(const TensorPlan& tensor, uint64_t first, uint64_t count,
                            const io::SourceFile& source) {
  const uint64_t size = ElementBytes(tensor);
  QSTORE_TRY(Read(source, tensor.source.begin + first * size, count * size));
  const bool quantize = tensor.action == TensorPlan::Action::kQuantize;
  narrow_.resize(static_cast<size_t>(count));
  ConvertFloats(tensor.source.dtype, in_, quantize ? DType::kF16 : tensor.dtype,
                std::as_writable_bytes(std::span(narrow_)));
  return {};
}

Status Worker::QuantizeRows(const Task& task, const io::SourceFile& source, io::OutputFile* out) {
  const TensorPlan& tensor = *task.tensor;
  const auto columns = static_cast<size_t>(tensor.source.shape[1]);
  QSTORE_TRY(ReadAsFloats(tensor, task.first * columns, task.count * columns, source));
  q_.resize(narrow_.size());
  scb_.resize(static_cast<size_t>(task.count));
  for (size_t i = 0; i < scb_.size(); ++i) {
    const auto row = std::span(narrow_).subspan(i * columns, columns);
    const uint16_t largest = LargestMagnitude(row);
    QSTORE_TRY(CheckFinite(tensor, task.first + i, largest));
    scb_[i] = base::Fp16ToFloat(largest);
    QuantizeToInt8(row, scb_[i], std::span(q_).subspan(i * columns, columns));
  }
  QSTORE_TRY(out->WriteAt(tensor.scb_begin + task.first * 4, std::as_bytes(std::span(scb_))));
  return out->WriteAt(tensor.begin + task.first * columns, std::as_bytes(std::span(q_)));
}

// Two passes over a row too long to be held.
Status Worker::QuantizeLongRow(const TensorPlan& tensor, uint64_t row, const io::SourceFile& source,
                               io::OutputFile* out) {
  const uint64_t columns = tensor.source.shape[1];
  const uint64_t piece = kPieceBytes / ElementBytes(tensor);
  uint16_t largest = 0;
  for (uint64_t at = 0; at < columns; at += piece) {
    QSTORE_TRY(ReadAsFloats(tensor, row * columns + at, std::min(piece, columns - at), source));
    largest = std::max(largest, LargestMagnitude(narrow_));
  }
  QSTORE_TRY(CheckFinite(tensor, row, largest));
  const float absmax = base::Fp16ToFloat(largest);
  for (uint64_t at = 0; at < columns; at += piece) {
    QSTORE_TRY(ReadAsFloats(tensor, row * columns + at, std::min(piece, columns - at), source));
    q_.resize(narrow_.size());
    QuantizeToInt8(narrow_, absmax, q_);
    QSTORE_TRY(out->WriteAt(tensor.begin + row * columns + at, std::as_bytes(std::span(q_))));
  }
  return out->WriteAt(tensor.scb_begin + row * 4, std::as_bytes(std::span(&absmax, 1)));
}

}  // namespace qstore::make
