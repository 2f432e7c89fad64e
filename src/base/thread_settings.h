// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <signal.h>

#include <cstddef>

namespace qstore::base {

/// What a thread has from the one that starts it: one of a pool has it from the one it works for.
class ThreadSettings {
 public:
  /// Those of the calling thread.
  static ThreadSettings Here();

  /// Sets them for the calling thread, which has `present` until now.
  void Apply(const ThreadSettings& present) const;
  /// The same with all signals blocked: those of the process are for its other threads.
  ThreadSettings WithoutSignals() const;
  /// Processors that it or the main thread of the process may run on, whichever are more.
  size_t processors() const { return processors_; }

 private:
  bool has_cpus_ = false;
  cpu_set_t cpus_{};
  sigset_t blocked_{};
  size_t processors_ = 0;
};

}  // namespace qstore::base
