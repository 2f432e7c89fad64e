// SPDX-License-Identifier: Apache-2.0
// A library that process_pool_test.cc loads and unloads.
#include <atomic>
#include <thread>

#include "base/pipeline.h"

/// Has threads of the pool work, which wait for more to do when it returns.
extern "C" __attribute__((visibility("default"))) bool UsePool() {
  constexpr unsigned kThreads = 3;
  std::atomic<unsigned> begun{0};
  const qstore::Status status = qstore::base::RunPipeline(
      kThreads, {kThreads, kThreads},
      [&](const qstore::base::PipelineItem&) {
        ++begun;
        while (begun < kThreads) std::this_thread::yield();
        return qstore::Status();
      },
      nullptr);
  return status.ok();
}
