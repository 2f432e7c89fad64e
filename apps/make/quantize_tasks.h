// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/file.h"
#include "io/output_file.h"
#include "make/quantize_plan.h"
#include "qstore/status.h"

namespace qstore::make {

/// A run of rows of a tensor to be quantized to LLM.int8(), or of elements (bytes, if kept) of any
/// other.
struct Task {
  const TensorPlan* tensor;
  uint64_t first;
  uint64_t count;
  uint64_t source_bytes;
};

/// Appends the tasks that make all of what becomes of a tensor.
void AddTasks(const TensorPlan& tensor, std::vector<Task>* tasks);

/// Carries out tasks of one file; one for each thread.
class Worker {
 public:
  Status Run(const Task& task, const io::SourceFile& source, io::OutputFile* out);

  /// The largest magnitude of the weights of a task that rounds.
  Result<float> FindPeak(const Task& task, const io::SourceFile& source);

 private:
  Status Read(const io::SourceFile& source, uint64_t offset, uint64_t length);
  Status ReadWeights(const Task& task, const io::SourceFile& source);
  Status ReadAsFloats(const TensorPlan& tensor, uint64_t first, uint64_t count,
                      const io::SourceFile& source);
  Status Round(const Task& task, const io::SourceFile& source, io::OutputFile* out);
  Status QuantizeRows(const Task& task, const io::SourceFile& source, io::OutputFile* out);
  Status QuantizeLongRow(const TensorPlan& tensor, uint64_t row, const io::SourceFile& source,
                         io::OutputFile* out);

  std::vector<std::byte> in_;
  std::vector<uint16_t> narrow_;
  std::vector<int8_t> q_;
  std::vector<float> scb_;
};

}  // namespace qstore::make
