// SPDX-License-Identifier: Apache-2.0
#include "store/unit_streams.h"

#include <algorithm>

namespace qstore::store {

std::vector<size_t> StreamOrder(const std::vector<bool>& may_begin, size_t streams) {
  const size_t count = may_begin.size();
  streams = std::min(streams, count);
  std::vector<size_t> begins = {0};
  for (size_t s = 1; s < streams; ++s) {
    size_t begin = count * s / streams;
    while (begin < count && !may_begin[begin]) ++begin;
    if (begin > begins.back()) begins.push_back(begin);
  }
  begins.push_back(count);
  std::vector<size_t> order;
  order.reserve(count);
  for (size_t k = 0; order.size() < count; ++k) {
    for (size_t s = 0; s + 1 < begins.size(); ++s) {
      if (k < begins[s + 1] - begins[s]) order.push_back(begins[s] + k);
    }
  }
  return order;
}

}  // namespace qstore::store
