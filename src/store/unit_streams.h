// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace qstore::store {

/// The order in which the units of a read begin, as numbers of units: at most `streams` runs of
/// units that follow one another, about equally long, one unit of each in turn. Threads that take
/// units in this order seldom write to the same huge page at once, which each of them would clear.
/// `may_begin`, a unit each, says where a stream may begin: where nothing is under way that units
/// before put together for those behind. Unit 0 always may.
std::vector<size_t> StreamOrder(const std::vector<bool>& may_begin, size_t streams);

}  // namespace qstore::store
