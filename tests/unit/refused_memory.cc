// SPDX-License-Identifier: Apache-2.0
#include "unit/refused_memory.h"

#include <cstdlib>

namespace qstore::testing {
namespace {

struct State {
  bool is_armed = false;
  bool is_struck = false;
  bool stays = false;
  long left = 0;
};

thread_local State state;

bool Refuses() {
  if (!state.is_armed || state.left-- > 0) return false;
  state.is_struck = true;
  state.is_armed = state.stays;
  return true;
}

}  // namespace

RefusedMemory::RefusedMemory(long k, bool stays) { state = {true, false, stays, k}; }
RefusedMemory::~RefusedMemory() { state.is_armed = false; }
bool RefusedMemory::struck() { return state.is_struck; }

}  // namespace qstore::testing

void* operator new(size_t size) {
  void* const memory = qstore::testing::Refuses() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return qstore::testing::Refuses() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
