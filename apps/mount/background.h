// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qstore/status.h"

namespace qstore::mount {

/// A process of the background, and the one that starts it and waits until it is ready.
class Background {
 public:
  /// Makes a process, in which the call returns as well. REQUIRES: no other thread runs.
  /// Errors: kIo.
  static Result<Background> Start();
  ~Background();
  Background(Background&& other) noexcept;
  Background& operator=(Background&&) = delete;

  /// Whether this is the new process.
  bool is_new() const { return is_new_; }

  /// In the old process: what came of the new one, once it is ready or has failed.
  Status Wait() const;
  /// In the new process, once: leaves terminal and working directory, and lets the old one go on.
  void Ready();
  /// In the new process, instead: hands the error over, and ends the process.
  [[noreturn]] void Fail(const Status& error);

 private:
  Background(bool is_new, int pipe) : is_new_(is_new), pipe_(pipe) {}
  void Send(const Status& status);

  bool is_new_;
  int pipe_;  // To the old process, or from the new one.
};

}  // namespace qstore::mount
