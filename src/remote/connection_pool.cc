// SPDX-License-Identifier: Apache-2.0
#include "remote/connection_pool.h"

#include <unistd.h>

namespace qstore::remote {

ConnectionPool::~ConnectionPool() {
  for (auto& slot : idle_) {
    std::unique_ptr<HttpConnection> connection(slot.exchange(nullptr));
    // A parent's is not this process's to close.
    if (connection != nullptr && connection->process() != ::getpid()) {
      static_cast<void>(connection.release());
    }
  }
}

Result<std::unique_ptr<HttpConnection>> ConnectionPool::Take() const {
  for (auto& slot : idle_) {
    std::unique_ptr<HttpConnection> connection(slot.exchange(nullptr));
    if (connection == nullptr) continue;
    if (connection->process() == ::getpid()) return connection;
    static_cast<void>(connection.release());  // The parent's.
  }
  return HttpConnection::Make(settings_);
}

void ConnectionPool::GiveBack(std::unique_ptr<HttpConnection> connection) const {
  for (auto& slot : idle_) {
    HttpConnection* none = nullptr;
    if (!slot.compare_exchange_strong(none, connection.get())) continue;
    static_cast<void>(connection.release());
    return;
  }
}

}  // namespace qstore::remote
