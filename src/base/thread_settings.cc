// SPDX-License-Identifier: Apache-2.0
#include "base/thread_settings.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

namespace qstore::base {

ThreadSettings ThreadSettings::Here() {
  ThreadSettings here;
  here.has_cpus_ = sched_getaffinity(0, sizeof(here.cpus_), &here.cpus_) == 0;
  pthread_sigmask(SIG_SETMASK, nullptr, &here.blocked_);
  if (here.has_cpus_) here.processors_ = static_cast<size_t>(CPU_COUNT(&here.cpus_));
  cpu_set_t program;
  if (sched_getaffinity(::getpid(), sizeof(program), &program) == 0) {
    here.processors_ = std::max(here.processors_, static_cast<size_t>(CPU_COUNT(&program)));
  }
  return here;
}

void ThreadSettings::Apply(const ThreadSettings& present) const {
  pthread_sigmask(SIG_SETMASK, &blocked_, nullptr);
  if (!has_cpus_ || !present.has_cpus_ || CPU_EQUAL(&cpus_, &present.cpus_)) return;
  sched_setaffinity(0, sizeof(cpus_), &cpus_);
}

ThreadSettings ThreadSettings::WithoutSignals() const {
  ThreadSettings without = *this;
  sigfillset(&without.blocked_);
  return without;
}

}  // namespace qstore::base
